"""The decorator `@runs`: a task is done once, and its run ends as the task ends.

A cast may be delivered twice (a broker that died before the acknowledgement, a resumed run), so a task first claims
its run; the second delivery finds it claimed and does nothing.
"""

import functools
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from coffer.lifecycle.runs import Lifecycle, RunNotOpenError
from coffer.wire.context import TroveContext

LOG = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What a task that returned says of its run."""

    ENDED = "ended"
    """The task ended the run itself, in the transaction of its last change."""
    HANDED_OVER = "handed over"
    """The guest ends the run, through the conductor."""


class HasLifecycle(Protocol):
    """An endpoint of tasks."""

    @property
    def lifecycle(self) -> Lifecycle:
        """What begins and ends runs in the name of this service."""


Params = ParamSpec("Params")
Endpoint = TypeVar("Endpoint", bound=HasLifecycle)


def runs(
    task: Callable[Concatenate[Endpoint, TroveContext, Params], Outcome],
) -> Callable[Concatenate[Endpoint, TroveContext, Params], None]:
    """Claim the run, do the task, end the run as `.error` with whatever the task raises.

    It is raised again: the RPC server logs it, once and without the secrets of the task's arguments.
    """
    name = task.__name__

    @functools.wraps(task)
    def claimed(self: Endpoint, ctx: TroveContext, /, *args: Params.args, **kwargs: Params.kwargs) -> None:
        ticket = ctx.notification
        if ticket is None:
            # Every caller of ours sends a ticket; without one nobody could tell a first delivery from a second.
            LOG.error("task refused: no run in its context task=%s", name)
            return
        if not self.lifecycle.claim(ticket.run_id):
            LOG.info("task skipped: its run is claimed or over task=%s run_id=%s", name, ticket.run_id)
            return
        try:
            outcome = task(self, ctx, *args, **kwargs)
            LOG.info("task done task=%s run_id=%s outcome=%s", name, ticket.run_id, outcome)
        except RunNotOpenError:
            LOG.warning("task was late: its run is over task=%s run_id=%s", name, ticket.run_id)
        except Exception as error:
            self.lifecycle.fail(ticket.run_id, error)
            raise

    return claimed
