"""What the API does about a resize: checks, reserves, announces and hands on, or refuses and leaves all as it was."""

import pytest
from tests.functional.api.world import PROJECT, World

from coffer.catalogue.resources import Resource
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.emitter import utcnow
from coffer.store import quotas
from coffer.store.instances import Instance


def resize(world: World, instance: Instance, change: object) -> "tuple[int, str]":
    reply = world.call("POST", f"/instances/{instance.id}/action", {"resize": change})
    return reply.status, reply.message if reply.body else ""


def limit(world: World, **limits: int) -> None:
    with world.database.writing() as tx:
        quotas.set_limits(tx, PROJECT, {Resource(name): amount for name, amount in limits.items()}, utcnow())


def usage(world: World, resource: Resource) -> tuple[int, int]:
    with world.database.reading() as tx:
        found = quotas.usage(tx, PROJECT)[resource]
    return found.in_use, found.reserved


@pytest.mark.parametrize("reference", ["2", 2, "http://127.0.0.1:8779/v1.0/p/flavors/2"])
def test_another_flavor_is_reserved_and_handed_on(world: World, reference: object) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has(flavor_id="1", ram_mib=512)

    assert resize(world, instance, {"flavorRef": reference}) == (202, "")

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == (
        "resize_instance",
        {"instance_id": instance.id, "flavor_id": "2"},
    )
    row = world.row(instance.id)
    assert (row.state, row.flavor_id, row.ram_mib, row.wanted_ram_mib) == ("RESIZE", "1", 512, 1024)
    assert usage(world, Resource.RAM) == (512, 512)
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_resize_instance.start"
    assert (start.payload["instance_id"], start.payload["new_flavor_id"]) == (instance.id, "2")
    assert world.call("GET", f"/instances/{instance.id}").body["instance"]["status"] == "RESIZE"


def test_a_larger_volume_is_reserved_and_handed_on(world: World) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has(volume_gib=2)

    assert resize(world, instance, {"volume": {"size": 5}}) == (202, "")

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("resize_volume", {"instance_id": instance.id, "volume_gib": 5})
    row = world.row(instance.id)
    assert (row.state, row.volume_gib, row.wanted_volume_gib) == ("RESIZE", 2, 5)
    assert usage(world, Resource.VOLUMES) == (2, 3)
    (start,) = world.events()
    assert start.event_type == "dbaas.instance_resize_volume.start"
    assert (start.payload["instance_id"], start.payload["new_size"]) == (instance.id, 5)


def test_a_smaller_flavor_needs_no_quota_and_reserves_nothing(world: World) -> None:
    world.start_taskmanager()
    instance = world.has(flavor_id="2", ram_mib=1024)
    limit(world, ram=0)

    assert resize(world, instance, {"flavorRef": "1"})[0] == 202
    assert usage(world, Resource.RAM) == (1024, 0)


REFUSED = [
    ("the same flavor", {"flavorRef": "1"}, {}, 400, "has the flavor 1 already", "bad_request"),
    ("an unknown flavor", {"flavorRef": "4711"}, {}, 400, "There is no flavor 4711", "bad_request"),
    ("more memory than the quota", {"flavorRef": "2"}, {"ram": 1023}, 413, "ram (512 of 1023", "quota_exceeded"),
    ("a smaller volume", {"volume": {"size": 1}}, {}, 400, "more than the present 2 GiB", "bad_request"),
    ("the same volume", {"volume": {"size": 2}}, {}, 400, "more than the present 2 GiB", "bad_request"),
    ("a volume too large", {"volume": {"size": 101}}, {"volumes": -1}, 413, "at most 100", "quota_exceeded"),
    ("more room than the quota", {"volume": {"size": 5}}, {"volumes": 4}, 413, "volumes (2 of 4", "quota_exceeded"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "limits", "status", "message", "code"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_a_refusal_is_announced_as_the_tenants_doing_and_changes_nothing(
    world: World, change: object, limits: dict[str, int], status: int, message: str, code: str
) -> None:
    taskmanager = world.start_taskmanager()
    instance = world.has(flavor_id="1", ram_mib=512, volume_gib=2)
    limit(world, **limits)

    answer = resize(world, instance, change)

    assert answer[0] == status
    assert message in answer[1]
    started, ended = world.events()
    assert started.event_type.endswith(".start")
    assert ended.event_type == started.event_type.replace(".start", ".error")
    assert (ended.severity, ended.payload["fault"], ended.payload["error_code"]) == ("error", "user", code)
    assert world.row(instance.id) == instance
    assert (usage(world, Resource.RAM), usage(world, Resource.VOLUMES)) == ((512, 0), (2, 0))
    assert world.open_runs() == []
    assert taskmanager.notes.count == 0


@pytest.mark.parametrize("state", [InstanceState.RESIZE, InstanceState.BUILD, InstanceState.ERROR])
@pytest.mark.parametrize("change", [{"flavorRef": "2"}, {"volume": {"size": 5}}])
def test_in_another_state_it_is_refused(world: World, state: InstanceState, change: object) -> None:
    instance = world.has(state=state)

    assert resize(world, instance, change)[0] == 422
    assert [event.event_type.rpartition(".")[2] for event in world.events()] == ["start", "error"]
    assert world.events()[-1].payload["error_code"] == "wrong_state"
    assert world.row(instance.id) == instance


@pytest.mark.parametrize("change", [{"flavorRef": "2"}, {"volume": {"size": 5}}])
def test_when_nobody_takes_the_task_the_size_and_the_quota_are_as_before(
    world: World, change: object
) -> None:
    instance = world.has(flavor_id="1", ram_mib=512, volume_gib=2)

    assert resize(world, instance, change)[0] == 503

    row = world.row(instance.id)
    assert (row.state, row.ram_mib, row.volume_gib) == (InstanceState.ACTIVE, 512, 2)
    assert (row.wanted_ram_mib, row.wanted_volume_gib) == (None, None)
    assert (usage(world, Resource.RAM), usage(world, Resource.VOLUMES)) == ((512, 0), (2, 0))
    assert world.events()[-1].payload["fault"] == "system"


@pytest.mark.parametrize(
    "change",
    [
        {},
        None,
        [],
        {"flavorRef": "2", "volume": {"size": 5}},
        {"colour": "red"},
        {"flavorRef": ""},
        {"flavorRef": None},
        {"flavorRef": "x" * 256},
        {"volume": {}},
        {"volume": {"size": "5"}},
        {"volume": {"size": 0}},
        {"volume": {"size": 2**31}},
    ],
)
def test_a_body_that_makes_no_sense_begins_nothing(world: World, change: object) -> None:
    instance = world.has()

    assert resize(world, instance, change)[0] == 400
    assert world.events() == []


def test_an_instance_of_another_project_cannot_be_found(world: World) -> None:
    instance = world.has(project_id="another")

    assert resize(world, instance, {"flavorRef": "2"})[0] == 404
    assert world.events() == []
