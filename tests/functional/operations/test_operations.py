"""Each operation that a single instance knows, done well, asked for wrongly, and met by a machine that breaks.

On real database servers. The rows are beside, a module a noun; what all of them have in common is judged here.
"""

from contextlib import closing

import pytest
from tests.functional.operations.case import Call, Case, Told
from tests.functional.operations.judge import judge, runs_of
from tests.functional.operations.stage import Stage
from tests.functional.operations.table import ROWS

from coffer.catalogue.operations import OPERATIONS

rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def play(stage: Stage, operation: str, case: Case, *, fault: str | None) -> None:
    """Let a case make its call, judge what was announced, let the case look at the effects."""
    with closing(case(stage)) as playing:
        call = next(playing)
        told = ask(stage, operation, call, leaves_all_alone=fault == "user")
        judge(stage, OPERATIONS[operation], call, told, fault=fault)
        with pytest.raises(StopIteration):
            playing.send(told)
    stage.wait_until_idle()
    assert stage.state() == "ACTIVE"


def ask(stage: Stage, operation: str, call: Call, *, leaves_all_alone: bool) -> Told:
    """Make the call and wait until its runs have ended."""
    before = stage.snapshot() if leaves_all_alone else None
    open_before = {run.run_id for run in stage.control.open_runs()}
    heard = len(stage.control.events())
    status, answer = stage.control.call(call.method, call.path, call.body)
    assert status == call.answers, answer
    stage.wait_for_all_but(open_before)
    if before is not None:
        assert stage.snapshot() == before
    events = stage.control.events()[heard:]
    facts = [event for event in events if event.event_type.startswith("trove.")]
    return Told(answer=answer, runs=runs_of(operation, events), facts=facts)


@rows
def test_it_is_done_announced_and_billed(stage: Stage, row) -> None:
    play(stage, row.operation, row.success, fault=None)


@rows
def test_a_tenants_mistake_is_refused_announced_and_leaves_nothing_behind(stage: Stage, row) -> None:
    play(stage, row.operation, row.user_fault, fault="user")


@rows
def test_a_failure_of_ours_is_announced_as_such_and_the_tenant_can_help_himself(stage: Stage, row) -> None:
    play(stage, row.operation, row.system_fault, fault="system")
