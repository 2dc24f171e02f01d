"""Who follows whom: a replica takes the place of its source, living or dead, or goes its own way."""

from collections.abc import Generator

import psycopg
import pytest
from tests.functional.operations.case import Call, Row, Told
from tests.functional.operations.stage import DONE_S, Stage
from tests.support.waiting import wait_for

Case = Generator[Call, Told, None]
PROMOTE = {"promote_to_replica_source": {}}
EJECT = {"eject_replica_source": {}}


def _action(
    instance_id: str, body: dict[str, object], *, answers: int = 202, error: str | None = None
) -> Call:
    return Call(
        method="POST",
        path=f"/instances/{instance_id}/action",
        body=body,
        answers=answers,
        starts=[{"instance_id": instance_id}],
        error=error,
    )


def _replica(stage: Stage) -> str:
    """Make a replica of the instance and return its id."""
    asked = {"name": "replica", "replica_of": stage.instance_id}
    made = stage.done("POST", "/instances", {"instance": asked}, answers=200)
    replica_id = str(made["instance"]["id"])
    assert stage.state(replica_id) == "ACTIVE"
    assert _source_of(stage, replica_id) == stage.instance_id
    return replica_id


def _source_of(stage: Stage, instance_id: str) -> str | None:
    shown = stage.control.show(instance_id)
    return shown["replica_of"]["id"] if "replica_of" in shown else None


def _write(stage: Stage, instance_id: str, word: str) -> None:
    with stage.control.log_in(instance_id) as session:
        session.execute("create table if not exists words (word text)")
        session.execute("insert into words values (%s)", (word,))


def _has(stage: Stage, instance_id: str, word: str) -> bool:
    """Whether a server has what was written; a replica that has not heard of the table yet has not."""
    try:
        return stage.control.ask(instance_id, f"select count(*) from words where word = '{word}'") == "1"
    except psycopg.errors.UndefinedTable:
        return False


def _follows(stage: Stage, replica_id: str, source_id: str) -> None:
    """What is written to the one arrives at the other, which takes nothing itself."""
    word = stage.name("word")
    _write(stage, source_id, word)
    wait_for(lambda: _has(stage, replica_id, word), DONE_S, f"{word} to arrive")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        _write(stage, replica_id, word)


def _promote(stage: Stage, instance_id: str) -> None:
    stage.done("POST", f"/instances/{instance_id}/action", PROMOTE)
    assert _source_of(stage, instance_id) is None


# --- promote ----------------------------------------------------------------------------------------


def promoted(stage: Stage) -> Case:
    replica_id = _replica(stage)
    word = stage.name("word")
    _write(stage, stage.instance_id, word)
    yield _action(replica_id, PROMOTE)
    assert _has(stage, replica_id, word)
    assert (_source_of(stage, replica_id), _source_of(stage, stage.instance_id)) == (None, replica_id)
    assert (stage.state(replica_id), stage.state()) == ("ACTIVE", "ACTIVE")
    _follows(stage, stage.instance_id, replica_id)
    _promote(stage, stage.instance_id)
    stage.delete_instance(replica_id)


def promote_of_what_is_no_replica(stage: Stage) -> Case:
    yield _action(stage.instance_id, PROMOTE, answers=400, error="not_replica")


def promote_with_the_guest_of_the_source_away(stage: Stage) -> Case:
    replica_id = _replica(stage)
    with stage.guest_away():
        yield _action(replica_id, PROMOTE, error="guest_unreachable")
        assert (stage.state(replica_id), stage.state()) == ("ACTIVE", "ACTIVE")
        assert _source_of(stage, replica_id) == stage.instance_id
        assert stage.fault(replica_id)
    _follows(stage, replica_id, stage.instance_id)
    _promote(stage, replica_id)
    _promote(stage, stage.instance_id)
    stage.delete_instance(replica_id)


# --- eject ------------------------------------------------------------------------------------------


def _kill_source(stage: Stage) -> None:
    stage.kill_server()
    shown = stage.control.show
    wait_for(lambda: shown(stage.instance_id)["operating_status"] == "CRASHED", DONE_S, "the guest to notice")


def ejected(stage: Stage) -> Case:
    replica_id = _replica(stage)
    word = stage.name("word")
    _write(stage, stage.instance_id, word)
    wait_for(lambda: _has(stage, replica_id, word), DONE_S, f"{word} to arrive")
    _kill_source(stage)
    yield _action(stage.instance_id, EJECT)
    assert (_source_of(stage, replica_id), _source_of(stage, stage.instance_id)) == (None, None)
    assert _has(stage, replica_id, word)
    _write(stage, replica_id, stage.name("word"))
    stage.restart()  # on its own
    stage.delete_instance(replica_id)


def eject_of_one_that_lives(stage: Stage) -> Case:
    replica_id = _replica(stage)
    yield _action(stage.instance_id, EJECT, answers=400, error="source_alive")
    _follows(stage, replica_id, stage.instance_id)
    stage.delete_instance(replica_id)


def eject_with_the_guest_of_the_replica_away(stage: Stage) -> Case:
    replica_id = _replica(stage)
    _kill_source(stage)
    with stage.guest_away(replica_id):
        told = yield _action(stage.instance_id, EJECT, error="guest_failed")
        assert "no server answers" in told.error
        assert (stage.state(replica_id), stage.state()) == ("ACTIVE", "ACTIVE")
        assert _source_of(stage, replica_id) == stage.instance_id
    stage.done("POST", f"{stage.path}/action", EJECT)
    assert (_source_of(stage, replica_id), _source_of(stage, stage.instance_id)) == (None, None)
    stage.restart()
    stage.delete_instance(replica_id)


# --- detach -----------------------------------------------------------------------------------------


def _detach(instance_id: str, *, answers: int = 202, error: str | None = None) -> Call:
    return Call(
        method="PUT",
        path=f"/instances/{instance_id}",
        body={"instance": {"replica_of": None}},
        answers=answers,
        starts=[{"instance_id": instance_id}],
        error=error,
    )


def detached(stage: Stage) -> Case:
    replica_id = _replica(stage)
    yield _detach(replica_id)
    _stands_alone(stage, replica_id)
    stage.delete_instance(replica_id)


def _stands_alone(stage: Stage, replica_id: str) -> None:
    assert _source_of(stage, replica_id) is None
    assert "replicas" not in stage.control.show(stage.instance_id)
    for instance_id, other_id in ((replica_id, stage.instance_id), (stage.instance_id, replica_id)):
        word = stage.name("word")
        _write(stage, instance_id, word)
        assert not _has(stage, other_id, word)


def detach_of_what_is_no_replica(stage: Stage) -> Case:
    yield _detach(stage.instance_id, answers=400, error="not_replica")


def detach_with_the_guest_away(stage: Stage) -> Case:
    replica_id = _replica(stage)
    with stage.guest_away(replica_id):
        yield _detach(replica_id, error="guest_unreachable")
        assert stage.state(replica_id) == "ACTIVE"
        assert _source_of(stage, replica_id) == stage.instance_id
    stage.done("PUT", f"/instances/{replica_id}", {"instance": {"replica_of": None}})
    _stands_alone(stage, replica_id)
    stage.delete_instance(replica_id)


ROWS = (
    Row(
        operation="instance_promote",
        success=promoted,
        user_fault=promote_of_what_is_no_replica,
        system_fault=promote_with_the_guest_of_the_source_away,
    ),
    Row(
        operation="instance_eject",
        success=ejected,
        user_fault=eject_of_one_that_lives,
        system_fault=eject_with_the_guest_of_the_replica_away,
    ),
    Row(
        operation="instance_detach",
        success=detached,
        user_fault=detach_of_what_is_no_replica,
        system_fault=detach_with_the_guest_away,
    ),
)
