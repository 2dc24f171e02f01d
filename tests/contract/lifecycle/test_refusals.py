"""A call that is refused after it began: start and error in one transaction, the rest undone."""

import logging

import pytest
from tests.contract.lifecycle.ground import Ground, context
from tests.support.rows import new_instance

from coffer.catalogue.errors import CloudFailed, CofferError, DispatchFailed, QuotaExceeded, WrongState
from coffer.catalogue.operations import OPERATIONS
from coffer.catalogue.states import InstanceState
from coffer.store import instances
from coffer.wire.context import TroveContext


def test_an_operation_that_the_state_does_not_allow_is_announced_and_refused(ground: Ground) -> None:
    instance = ground.has(state=InstanceState.BUILD)

    with pytest.raises(WrongState, match="is BUILD; instance_restart needs one of ACTIVE, RESTART_REQUIRED"):
        ground.begun("instance_restart", instance)

    start, error = ground.events()
    assert start.event_type == "dbaas.instance_restart.start"
    assert error.event_type == "dbaas.instance_restart.error"
    assert error.severity == "error"
    assert error.timestamp == start.timestamp
    assert error.payload["error_code"] == "wrong_state"
    assert error.payload["fault"] == "user"
    assert error.payload["duration_s"] == 0.0
    assert error.payload["message"] == str(error.payload["exception"]).splitlines()[0].partition(": ")[2]
    assert ground.open_runs() == []
    assert ground.state(instance) == InstanceState.BUILD
    assert len(ground.woken) == 1


def test_the_run_of_a_refused_call_keeps_the_reason(ground: Ground) -> None:
    instance = ground.has(state=InstanceState.BUILD)
    with pytest.raises(WrongState):
        ground.begun("instance_restart", instance)
    run_id = str(ground.events()[0].payload["run_id"])

    with ground.database.reading() as tx:
        row = tx.exec_driver_sql(
            f"SELECT ending, error_code, fault, message, previous_state FROM runs WHERE run_id = '{run_id}'"
        ).one()
    assert tuple(row[:3]) == ("error", "wrong_state", "user")
    assert "needs one of" in row[3]
    assert row[4] == "BUILD"


def test_a_refusal_by_the_body_undoes_what_the_body_wrote(ground: Ground) -> None:
    begin = ground.lifecycle().begin(
        context(), OPERATIONS["instance_create"], instance_id="i-2", items=[{"name": "shop"}]
    )

    with pytest.raises(QuotaExceeded), begin as beginning:  # noqa: PT012
        instances.insert(beginning.tx, new_instance(id="i-2"))
        raise QuotaExceeded(resources="instances")

    with ground.database.reading() as tx:
        assert instances.get(tx, "i-2") is None
    assert ground.open_runs() == []
    assert ground.told() == ["instance_create.start", "instance_create.error"]
    assert ground.payload("dbaas.instance_create.error")["error_code"] == "quota_exceeded"


def test_a_refusal_by_the_body_undoes_the_move(ground: Ground) -> None:
    instance = ground.has()
    begin = ground.lifecycle().begin(context(), OPERATIONS["instance_restart"], instance=instance)

    with pytest.raises(CloudFailed), begin:
        raise CloudFailed(reason="There is no room.")

    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.instance(instance.id).fault_code is None
    assert ground.told() == ["instance_restart.start", "instance_restart.error"]


def test_the_error_that_was_raised_comes_through_as_it_is(ground: Ground) -> None:
    refusal = CloudFailed(reason="There is no room.")
    begin = ground.lifecycle().begin(context(), OPERATIONS["instance_restart"], instance=ground.has())

    with pytest.raises(CloudFailed) as raised, begin:
        raise refusal

    assert raised.value is refusal


def test_a_task_that_nobody_takes_ends_the_run(ground: Ground) -> None:
    instance = ground.has()
    lifecycle = ground.lifecycle()
    with lifecycle.begin(context(), OPERATIONS["instance_restart"], instance=instance) as beginning:
        pass

    def cast(ctx: TroveContext) -> None:
        assert ctx.notification is not None
        assert ctx.notification.run_id == beginning.run.run_id
        raise DispatchFailed(service="taskmanager")

    with pytest.raises(DispatchFailed):
        lifecycle.dispatch(beginning.context, cast)

    assert ground.told() == ["instance_restart.start", "instance_restart.error"]
    assert ground.state(instance) == InstanceState.ACTIVE
    assert ground.instance(instance.id).fault_code == "dispatch_failed"


def test_a_task_that_is_taken_leaves_the_run_open(ground: Ground) -> None:
    lifecycle = ground.lifecycle()
    with lifecycle.begin(context(), OPERATIONS["instance_restart"], instance=ground.has()) as beginning:
        pass

    lifecycle.dispatch(beginning.context, lambda _: None)

    assert ground.open_runs() == [beginning.run.run_id]


def test_an_instance_that_is_deleted_meanwhile_is_refused(ground: Ground) -> None:
    """The handler has looked the instance up before; by now it is gone."""
    instance = ground.has()
    deletion = ground.one_begun("instance_delete", instance)
    ground.lifecycle().end(deletion.run_id)

    with pytest.raises(CofferError, match="is DELETED"):
        ground.begun("instance_restart", instance)


def test_a_failure_of_ours_is_an_error_in_the_log_and_a_tenant_s_mistake_is_not(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="coffer.lifecycle"):
        with pytest.raises(WrongState):
            ground.begun("instance_restart", ground.has(state=InstanceState.BUILD))
        run = ground.one_begun("instance_restart", ground.has())
        ground.lifecycle().fail(run.run_id, CloudFailed(reason="There is no room."))

    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["INFO", "INFO", "INFO", "ERROR"]
    assert told[1][1].startswith("run ended run_id=")
    assert told[2][1].startswith(f"run began run_id={run.run_id} operation=instance_restart request_id=req-")
    assert "ending=error code=cloud_failed" in told[3][1]
