"""Tells the conductor how the runs ended that were handed to this guest.

The broker may deliver a task twice, and may not take a report at once. So a run that is under way is not
begun again, one that ended is reported again with the same outcome, and a report that nobody took is kept.
"""

import logging
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Protocol

from coffer.catalogue.errors import CofferError, DispatchFailed
from coffer.catalogue.masking import mask_secrets
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

_REMEMBERED_RUNS: Final = 1000
_TRACE_LIMIT: Final = 4096


class Conductor(Protocol):
    """What a guest may tell the control plane; `coffer.wire.contracts.ConductorClient` in production."""

    def heartbeat(self, ctx: TroveContext, instance_id: str, status: str, sent_at: str) -> None:
        """Say how the server is. Raises DispatchFailed."""

    def notify_end(self, ctx: TroveContext, instance_id: str, traits: Mapping[str, JSON]) -> None:
        """Say that the run ended well. Raises DispatchFailed."""

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """Say that the run failed. Raises DispatchFailed."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run did what it should."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """A run failed: an error code of the catalogue or a class's name, data and message, the way it took."""

    etype: str
    value: dict[str, JSON]
    trace: str


_Outcome = _Ended | _Failed


class Reporter:
    """Does the work of runs, each once, and reports each; safe to use from several threads."""

    def __init__(self, conductor: Conductor, instance_id: str) -> None:
        """Report to `conductor` in the name of an instance."""
        self._conductor = conductor
        self._instance_id = instance_id
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[str, _Outcome | None] = OrderedDict()
        """The last runs by id; None for one that is under way."""
        self._unsent: deque[tuple[TroveContext, _Outcome]] = deque(maxlen=_REMEMBERED_RUNS)

    def run(self, ctx: TroveContext, work: Callable[[], None]) -> None:
        """Do the work of the context's run and report its end; without a run (old control plane), just do it.

        Raises:
            Exception: whatever the work raised, after it was reported.
        """
        if not self._admit(ctx):
            return
        try:
            work()
        except Exception as error:
            self._finish(ctx, _failure(error))
            raise
        self._finish(ctx, _Ended())

    def resend(self) -> None:
        """Send the reports that the broker has not taken yet, in order.

        Raises:
            DispatchFailed: it still does not; they are kept.
        """
        while True:
            with self._lock:
                if not self._unsent:
                    return
                ctx, outcome = self._unsent[0]
            self._send(ctx, outcome)
            with self._lock:
                if self._unsent and self._unsent[0][0] is ctx:
                    self._unsent.popleft()

    def _admit(self, ctx: TroveContext) -> bool:
        """Return whether this delivery is the first of its run."""
        if ctx.notification is None:
            return True
        run_id = ctx.notification.run_id
        with self._lock:
            if run_id not in self._outcomes:
                self._outcomes[run_id] = None
                while len(self._outcomes) > _REMEMBERED_RUNS:
                    self._outcomes.popitem(last=False)
                return True
            outcome = self._outcomes[run_id]
        LOG.warning("task delivered again run_id=%s under_way=%s", run_id, outcome is None)
        if outcome is not None:
            self._report(ctx, outcome)
        return False

    def _finish(self, ctx: TroveContext, outcome: _Outcome) -> None:
        if ctx.notification is None:
            return
        with self._lock:
            self._outcomes[ctx.notification.run_id] = outcome
        self._report(ctx, outcome)

    def _report(self, ctx: TroveContext, outcome: _Outcome) -> None:
        try:
            self._send(ctx, outcome)
        except DispatchFailed:
            with self._lock:
                self._unsent.append((ctx, outcome))

    def _send(self, ctx: TroveContext, outcome: _Outcome) -> None:
        match outcome:
            case _Ended():
                self._conductor.notify_end(ctx, self._instance_id, {})
            case _Failed(etype, value, trace):
                self._conductor.notify_exc_info(ctx, self._instance_id, etype, value, trace)


def _failure(error: Exception) -> _Failed:
    """Make of an error what may travel.

    The text of an error that is not ours can quote anything, so only its class is told.
    """
    if isinstance(error, CofferError):
        etype, message = error.code, mask_secrets(error.message)
        data: dict[str, JSON] = {name: mask_secrets(str(value)) for name, value in error.data.items()}
    else:
        etype, message, data = type(error).__name__, f"The guest agent failed ({type(error).__name__}).", {}
    return _Failed(etype=etype, value={"data": data, "message": message}, trace=_trace(error, message))


def _trace(error: Exception, message: str) -> str:
    """Return the error and the places it came through, innermost first; no source lines, no values."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = [f"  at {PurePath(each.filename).name}:{each.lineno} in {each.name}" for each in frames]
    text = "\n".join([f"{type(error).__name__}: {message}", *places])
    return text if len(text) <= _TRACE_LIMIT else text[: _TRACE_LIMIT - 1] + "…"
