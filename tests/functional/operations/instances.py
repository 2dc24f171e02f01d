"""An instance as a whole: made, restarted, resized, deleted."""

from collections.abc import Generator

from tests.functional.operations.case import ANYTHING, Call, Row, Told
from tests.functional.operations.stage import Stage
from tests.support.control_plane import DATABASE, PROJECT

from coffer.catalogue.resources import Resource
from coffer.store import quotas

Case = Generator[Call, Told, None]


# --- create -----------------------------------------------------------------------------------------


def _create(
    stage: Stage, *, answers: int = 200, error: str | None = None, facts: tuple[str, ...] = (), **more: object
) -> Call:
    asked = stage.asked_instance(
        databases=[{"name": "first"}, {"name": "second"}],
        users=[{"name": "alice", "password": "tiger", "databases": [{"name": "first"}]}],
        availability_zone="nova",
        **more,
    )
    start = {
        "instance_id": ANYTHING,
        "name": "made",
        "flavor": "1",
        "datastore": "postgresql",
        "datastore_version": "17",
        "databases": "first,second",
        "users": "alice",
        "volume_size": 1,
        "availability_zone": "nova",
    }
    return Call(
        method="POST",
        path="/instances",
        body={"instance": asked},
        answers=answers,
        starts=[start],
        error=error,
        facts=facts,
    )


def created(stage: Stage) -> Case:
    told = yield _create(stage, facts=("create",))
    instance_id = told.answer["instance"]["id"]
    assert instance_id == told.start["instance_id"]
    assert stage.state(instance_id) == "ACTIVE"
    beside = Stage(stage.control, instance_id)
    assert beside.lets_in("alice", "tiger", "first")
    assert not beside.lets_in("alice", "tiger", "second")
    stage.delete_instance(instance_id)


def create_beyond_the_quota(stage: Stage) -> Case:
    with stage.control.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource.VOLUMES: 1}, stage.control.api.clock())
    told = yield _create(stage, answers=413, error="quota_exceeded")
    assert "volumes" in told.error
    with stage.control.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource.VOLUMES: -1}, stage.control.api.clock())


def create_where_the_cloud_is_broken(stage: Stage) -> Case:
    with stage.cloud_without_books():
        told = yield _create(stage, error="cloud_failed")
    instance_id = told.start["instance_id"]
    assert stage.state(instance_id) == "ERROR"
    assert stage.fault(instance_id) == told.error
    assert not stage.control.guest_dir(instance_id).exists()
    stage.delete_instance(instance_id)


# --- restart ----------------------------------------------------------------------------------------


def _action(
    instance_id: str, body: dict[str, object], *, answers: int = 202, error: str | None = None, **more: object
) -> Call:
    traits = more.pop("traits", {})
    assert isinstance(traits, dict)
    return Call(
        method="POST",
        path=f"/instances/{instance_id}/action",
        body=body,
        answers=answers,
        starts=[{"instance_id": instance_id, **traits}],
        error=error,
        **more,  # type: ignore[arg-type]
    )


def restarted(stage: Stage) -> Case:
    before = stage.control.ask(stage.instance_id, "select pg_postmaster_start_time()")
    yield _action(stage.instance_id, {"restart": {}})
    assert stage.state() == "ACTIVE"
    assert stage.control.ask(stage.instance_id, "select pg_postmaster_start_time()") != before


def restart_of_one_that_never_served(stage: Stage) -> Case:
    yield _action(stage.broken_id, {"restart": {}}, answers=422, error="wrong_state")


def restart_where_a_stranger_has_the_port(stage: Stage) -> Case:
    with stage.port_taken():
        told = yield _action(stage.instance_id, {"restart": {}}, error="guest_failed")
        assert "is taken by another process" in told.error
        assert stage.state() == "ACTIVE"
        assert stage.fault() == told.error
    stage.restart()
    assert "fault" not in stage.control.show(stage.instance_id)


# --- resize -----------------------------------------------------------------------------------------


def _flavor(stage: Stage, flavor: str, **more: object) -> Call:
    return _action(
        stage.instance_id, {"resize": {"flavorRef": flavor}}, traits={"new_flavor_id": flavor}, **more
    )


def flavor_changed(stage: Stage) -> Case:
    assert stage.setting("shared_buffers") == "128MB"
    told = yield _flavor(stage, "2", facts=("modify_flavor",))
    assert told.facts[0].payload["old_instance_size"] == 512
    assert stage.setting("shared_buffers") == "256MB"
    assert stage.control.show(stage.instance_id)["flavor"]["id"] == "2"
    stage.done("POST", f"{stage.path}/action", {"resize": {"flavorRef": "1"}})


def flavor_that_it_has(stage: Stage) -> Case:
    yield _flavor(stage, "1", answers=400, error="bad_request")


def flavor_where_a_stranger_has_the_port(stage: Stage) -> Case:
    with stage.port_taken():
        yield _flavor(stage, "2", error="guest_failed")
        assert stage.state() == "ACTIVE"
        assert stage.control.show(stage.instance_id)["flavor"]["id"] == "1"
    stage.restart()
    assert stage.setting("shared_buffers") == "128MB"


def _volume(stage: Stage, size_gib: int, **more: object) -> Call:
    return _action(
        stage.instance_id, {"resize": {"volume": {"size": size_gib}}}, traits={"new_size": size_gib}, **more
    )


def _size_gib(stage: Stage) -> int:
    return int(stage.control.show(stage.instance_id)["volume"]["size"])


def volume_enlarged(stage: Stage) -> Case:
    before = _size_gib(stage)
    told = yield _volume(stage, before + 1, facts=("modify_volume",))
    assert told.facts[0].payload["old_volume_size"] == before
    assert _size_gib(stage) == before + 1
    assert stage.control.guest_config(stage.instance_id).volume_gib == before + 1


def volume_that_is_no_larger(stage: Stage) -> Case:
    yield _volume(stage, _size_gib(stage), answers=400, error="bad_request")


def volume_with_the_guest_away(stage: Stage) -> Case:
    before = _size_gib(stage)
    with stage.guest_away():
        yield _volume(stage, before + 1, error="guest_unreachable")
        assert (stage.state(), _size_gib(stage)) == ("ACTIVE", before)
        assert stage.lets_in("bob", "bob's")
    assert stage.control.guest_config(stage.instance_id).volume_gib == before
    stage.done("POST", f"{stage.path}/action", {"resize": {"volume": {"size": before + 1}}})
    assert _size_gib(stage) == before + 1


# --- delete -----------------------------------------------------------------------------------------


def _delete(
    instance_id: str, *, answers: int = 202, error: str | None = None, facts: tuple[str, ...] = ()
) -> Call:
    return Call(
        method="DELETE",
        path=f"/instances/{instance_id}",
        answers=answers,
        starts=[{"instance_id": instance_id}],
        error=error,
        facts=facts,
    )


def deleted(stage: Stage) -> Case:
    instance_id = stage.control.create_active()
    place = stage.control.guest_dir(instance_id)
    assert Stage(stage.control, instance_id).databases() >= {DATABASE}
    yield _delete(instance_id, facts=("delete",))
    assert stage.control.call("GET", f"/instances/{instance_id}")[0] == 404
    assert not place.exists()


def delete_while_a_backup_is_made(stage: Stage) -> Case:
    with stage.backup_under_way() as backup_id:
        yield _delete(stage.instance_id, answers=422, error="wrong_state")
    stage.delete_backup(backup_id)
    assert stage.lets_in("bob", "bob's")


def delete_where_the_cloud_is_broken(stage: Stage) -> Case:
    instance_id = stage.control.create_active()
    with stage.cloud_without_books():
        told = yield _delete(instance_id, error="cloud_failed")
        assert stage.state(instance_id) == "ERROR"
        assert stage.fault(instance_id) == told.error
    stage.delete_instance(instance_id)
    (end,) = [
        event
        for event in stage.control.events("trove.instance.delete")
        if event.payload["instance_id"] == instance_id
    ]
    assert end.payload["created_at"] < end.payload["deleted_at"]


ROWS = (
    Row(
        operation="instance_create",
        success=created,
        user_fault=create_beyond_the_quota,
        system_fault=create_where_the_cloud_is_broken,
    ),
    Row(
        operation="instance_restart",
        success=restarted,
        user_fault=restart_of_one_that_never_served,
        system_fault=restart_where_a_stranger_has_the_port,
    ),
    Row(
        operation="instance_resize_volume",
        success=volume_enlarged,
        user_fault=volume_that_is_no_larger,
        system_fault=volume_with_the_guest_away,
    ),
    Row(
        operation="instance_resize_instance",
        success=flavor_changed,
        user_fault=flavor_that_it_has,
        system_fault=flavor_where_a_stranger_has_the_port,
    ),
    Row(
        operation="instance_delete",
        success=deleted,
        user_fault=delete_while_a_backup_is_made,
        system_fault=delete_where_the_cloud_is_broken,
    ),
)
