"""What a service is told by signals: SIGTERM and SIGINT end it, SIGHUP has it read its configuration again."""

import logging
import queue
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from oslo_config import cfg

from coffer.main.settings import SettingsError, load

LOG = logging.getLogger(__name__)


class Signals:
    """Collects signals from its making on, so that none is missed while a service starts; the main thread's."""

    def __init__(self) -> None:
        # Its `put` may interrupt its own `get`, where an Event could wait for itself for ever.
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.put(number)

    def wait(self, reload: Callable[[], object]) -> None:
        """Wait for SIGTERM or SIGINT; at each SIGHUP call `reload`."""
        while (number := self._came.get()) == signal.SIGHUP:
            reload()
        LOG.info("signal received signal=%s", signal.Signals(number).name)


def reload(conf: cfg.ConfigOpts, check: Callable[[cfg.ConfigOpts], object] = lambda _: None) -> bool:
    """Read the configuration files again; of the options that may change while a process runs, take the new values.

    Those are oslo.log's `debug` and `log_config_append`. Files with which no service could start change nothing, nor do
    those to which `check` objects with a SettingsError; then the answer is False.
    """
    try:
        check(load([Path(each) for each in conf.config_file]))
        conf.mutate_config_files()
    except (SettingsError, cfg.Error, ValueError, OSError) as error:
        LOG.error("configuration not read again, the former stays reason=%s", error)  # noqa: TRY400
        return False
    LOG.info("configuration read again")
    LOG.debug("debug lines are on")
    return True
