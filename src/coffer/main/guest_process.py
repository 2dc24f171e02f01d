"""The agent of one instance as a process of its own, beside its database server.

There is one for each instance, so it loads nothing of the control plane: no database, no API, no lifecycle.
"""

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from coffer.catalogue.errors import CofferError
from coffer.clouds.local.guest_config import GuestConfigInvalid
from coffer.datastores.registry import discover
from coffer.guestagent.agent import GuestAgent
from coffer.main import guests, logs
from coffer.main.guest_link import link_of
from coffer.main.machine import engines_of, objects_of
from coffer.main.settings import SettingsError, load
from coffer.main.signals import Signals, reload
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.sealed.credentials import CONFIG_NAME

LOG = logging.getLogger(__name__)

EXPECTED = (CofferError, GuestConfigInvalid, NotDeliveredError, SettingsError)
"""What keeps an agent from starting and an operator can mend."""


def run(config_files: Sequence[Path], guest_dir: Path) -> None:
    """Run the agent of the instance in `guest_dir` until SIGINT or SIGTERM.

    Raises:
        SystemExit: with a sentence, if it cannot start.
    """
    os.umask(0o077)
    try:
        # All that an agent may know of the configuration lies beside it.
        conf = load(config_files or [guest_dir / CONFIG_NAME])
        logs.start(conf)
        signals = Signals()
        with contextlib.ExitStack() as cleanup:
            agent = _agent(conf, cleanup, guest_dir)
            agent.start()
            cleanup.callback(agent.stop)
            signals.wait(functools.partial(reload, conf))
            LOG.info("stopping service=%s", "guestagent")
    except EXPECTED as error:
        sys.exit(f"coffer guestagent cannot start: {error}")


def _agent(conf: cfg.ConfigOpts, cleanup: contextlib.ExitStack, guest_dir: Path) -> GuestAgent:
    link, renew = link_of(conf, guest_dir, cleanup)
    # The instance lies in ROOT/instances/ID.
    root = guest_dir.resolve().parent.parent
    return guests.agent(
        guest_dir,
        rpc=link,
        renew=renew,
        registry=discover(),
        engines=engines_of(conf, root),
        report_interval_s=conf.report_interval,
        objects=objects_of(conf, root),
        conductor_pin=conf.upgrade_levels.conductor,
    )
