"""Reports when the broker does not take them at once."""

import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from coffer.catalogue.errors import DispatchFailed, GuestFailed
from coffer.guestagent.journal import Journal
from coffer.guestagent.reporting import Reporter
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.json import JSON


class Wire:
    """A conductor behind a wire that can be cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self.said: list[tuple[str, str]] = []
        self.details = ""

    def heartbeat(self, ctx: TroveContext, instance_id: str, status: str, sent_at: str) -> None:
        self._say(ctx, "beat")

    def notify_end(self, ctx: TroveContext, instance_id: str, traits: Mapping[str, JSON]) -> None:
        self._say(ctx, "end")

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        self.details += f"{value} {trace}"
        self._say(ctx, etype)

    def _say(self, ctx: TroveContext, what: str) -> None:
        if self.is_cut:
            raise DispatchFailed(service="conductor")
        self.said.append((ctx.notification.run_id if ctx.notification else "", what))


def context() -> TroveContext:
    return TroveContext(notification=Ticket(run_id=str(uuid.uuid4()), operation="x"), overwrite=False)


def run_id(ctx: TroveContext) -> str:
    assert ctx.notification is not None
    return ctx.notification.run_id


def refuse() -> None:
    raise GuestFailed(reason="password = hidden")


def test_a_report_that_nobody_took_is_sent_later_in_order_and_once(tmp_path: Path) -> None:
    wire = Wire()
    reporter = Reporter(wire, "i", Journal(tmp_path))
    first, second = context(), context()
    wire.is_cut = True
    reporter.run(first, lambda: None)
    with pytest.raises(GuestFailed):
        reporter.run(second, refuse)
    with pytest.raises(DispatchFailed):
        reporter.resend()
    wire.is_cut = False
    reporter.resend()
    reporter.resend()
    assert wire.said == [(run_id(first), "end"), (run_id(second), "guest_failed")]


def test_a_run_under_way_is_not_begun_again_and_a_finished_one_repeats_its_outcome(tmp_path: Path) -> None:
    wire = Wire()
    reporter = Reporter(wire, "i", Journal(tmp_path))
    ctx = context()
    entered, leave, count = threading.Event(), threading.Event(), []

    def work() -> None:
        count.append(1)
        entered.set()
        assert leave.wait(10)

    thread = threading.Thread(target=reporter.run, args=(ctx, work))
    thread.start()
    assert entered.wait(10)
    reporter.run(ctx, work)
    assert wire.said == []
    leave.set()
    thread.join(10)
    reporter.run(ctx, work)
    assert wire.said == [(run_id(ctx), "end")] * 2
    assert len(count) == 1


def test_an_error_that_is_not_ours_is_told_by_its_class_and_place_only(tmp_path: Path) -> None:
    wire = Wire()
    reporter = Reporter(wire, "i", Journal(tmp_path))
    ctx = context()

    def work() -> None:
        raise ZeroDivisionError("canary")

    with pytest.raises(ZeroDivisionError):
        reporter.run(ctx, work)
    assert wire.said == [(run_id(ctx), "ZeroDivisionError")]
    assert "The guest agent failed (ZeroDivisionError)." in wire.details
    assert "in work" in wire.details
    assert "canary" not in wire.details


def test_secrets_in_our_own_errors_are_masked(tmp_path: Path) -> None:
    wire = Wire()
    with pytest.raises(GuestFailed):
        Reporter(wire, "i", Journal(tmp_path)).run(context(), refuse)
    assert "hidden" not in wire.details


def test_without_a_run_nothing_is_said(tmp_path: Path) -> None:
    wire = Wire()
    Reporter(wire, "i", Journal(tmp_path)).run(TroveContext(overwrite=False), lambda: None)
    assert wire.said == []
