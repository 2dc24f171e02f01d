"""What administrators see and do of everybody's instances, and how a tenant gets out of a state by himself."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from tests.functional.api.world import PROJECT, World
from tests.support.rows import NOON, new_run

from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.lifecycle.failures import Failure
from coffer.lifecycle.resetting import reset
from coffer.lifecycle.runs import Lifecycle
from coffer.store import instances, runs

RESET = {"reset_status": {}}
RESETS = [
    ("a creation", "instance_create", InstanceState.BUILD, InstanceState.ERROR),
    ("a restart", "instance_restart", InstanceState.REBOOT, InstanceState.ACTIVE),
    ("a resize", "instance_resize_volume", InstanceState.RESIZE, InstanceState.ACTIVE),
    ("a deletion", "instance_delete", InstanceState.SHUTDOWN, InstanceState.ERROR),
    ("a promotion", "instance_promote", InstanceState.PROMOTE, InstanceState.ACTIVE),
    ("nothing but a database", "database_create", InstanceState.ACTIVE, InstanceState.ACTIVE),
]


@pytest.fixture
def admins(sqlite_url: str) -> Iterator[World]:
    with World(sqlite_url, roles=("admin", "member", "reader")) as opened:
        yield opened


def begun(world: World, operation: str, instance_id: str, **fields: object) -> str:
    """Put an open run into the database."""
    run = new_run(
        operation=operation,
        instance_id=instance_id,
        project_id=PROJECT,
        previous_state=None if operation == "instance_create" else "ACTIVE",
        traits=f'{{"instance_id": "{instance_id}"}}',
        **fields,
    )
    with world.database.writing() as tx:
        runs.insert(tx, run)
    return run.run_id


@pytest.mark.parametrize(
    ("operation", "stuck", "after"), [row[1:] for row in RESETS], ids=[row[0] for row in RESETS]
)
def test_a_reset_ends_what_is_under_way_and_lets_the_instance_be_deleted(
    world: World, operation: str, stuck: InstanceState, after: InstanceState
) -> None:
    instance = world.has(state=stuck, launched_at=None if operation == "instance_create" else NOON)
    run_id = begun(world, operation, instance.id, claimed_by="a-taskmanager-that-hangs", claimed_at=NOON)
    world.start_taskmanager()

    reply = world.call("POST", f"/instances/{instance.id}/action", RESET)

    assert (reply.status, reply.body) == (202, None)
    (event,) = world.events()
    assert event.event_type == f"dbaas.{operation}.error"
    assert (event.payload["run_id"], event.payload["error_code"], event.payload["fault"]) == (
        run_id,
        "reset",
        "user",
    )
    assert world.row(instance.id).state is after
    assert world.open_runs() == []
    assert world.call("DELETE", f"/instances/{instance.id}").status == 202


def test_what_was_made_for_a_creation_that_is_given_up_is_taken_away(world: World) -> None:
    given_up, launched = (
        world.has(state=InstanceState.BUILD),
        world.has(state=InstanceState.REBOOT, launched_at=NOON),
    )
    begun(world, "instance_create", given_up.id, handed_to=given_up.id)
    path = f"/instances/{given_up.id}/action"

    assert (
        world.call("POST", path, RESET).status == 503
    )  # nobody there to do it; the run has ended all the same
    assert world.told() == ["instance_create.error"]
    taskmanager = world.start_taskmanager()
    assert world.call("POST", path, RESET).status == 202
    assert world.call("POST", f"/instances/{launched.id}/action", RESET).status == 202

    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args, cast.context.notification) == (
        "abandon_instance",
        {"instance_id": given_up.id},
        None,
    )


def test_a_reset_ends_every_run_of_the_instance_and_no_other(world: World) -> None:
    instance, other = world.has(), world.has()
    for operation in ("database_create", "user_create"):
        begun(world, operation, instance.id, handed_to=instance.id)
    left = begun(world, "user_create", other.id)

    assert world.call("POST", f"/instances/{instance.id}/action", RESET).status == 202

    assert sorted(world.told()) == ["database_create.error", "user_create.error"]
    assert [run.run_id for run in world.open_runs()] == [left]
    # What the guest says of them now comes too late.
    assert world.call("POST", f"/instances/{instance.id}/action", RESET).status == 202
    assert len(world.events()) == 2


@pytest.mark.parametrize("stuck", [InstanceState.RESIZE, InstanceState.BACKUP, InstanceState.SHUTDOWN])
def test_an_instance_that_is_stuck_without_a_run_becomes_deletable(
    world: World, stuck: InstanceState
) -> None:
    instance = world.has(state=stuck)
    world.start_taskmanager()

    assert world.call("POST", f"/instances/{instance.id}/action", RESET).status == 202

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]
    assert (shown["status"], shown["fault"]["message"]) == ("ERROR", "The status of the instance was reset.")
    assert world.call("DELETE", f"/instances/{instance.id}").status == 202


def test_a_failed_instance_whose_guest_is_well_again_is_in_use_again(world: World) -> None:
    failed_at = utcnow() - timedelta(seconds=30)
    instance = world.has(
        state=InstanceState.ERROR,
        launched_at=NOON,
        fault_code="guest_failed",
        fault_message="It broke.",
        fault_at=failed_at,
        service_seen_at=failed_at + timedelta(seconds=20),
        service_status=ServiceStatus.HEALTHY,
    )

    assert world.call("POST", f"/instances/{instance.id}/action", RESET).status == 202

    shown = world.call("GET", f"/instances/{instance.id}").body["instance"]
    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "HEALTHY")
    assert "fault" not in shown


def test_a_working_instance_is_left_as_it_is(world: World) -> None:
    instance = world.has()

    assert world.call("POST", f"/instances/{instance.id}/action", RESET).status == 202

    assert world.row(instance.id) == instance
    assert world.events() == []


@pytest.mark.parametrize(
    "body", [{"reset_status": {"force": True}}, {"reset_status": None}, {"reset_status": []}]
)
def test_a_reset_takes_no_arguments(world: World, body: object) -> None:
    instance = world.has()

    assert world.call("POST", f"/instances/{instance.id}/action", body).status == 400


def test_a_reset_of_what_is_not_ones_own_is_not_found(world: World) -> None:
    foreign = world.has(project_id="another", state=InstanceState.RESIZE)

    assert world.call("POST", f"/instances/{foreign.id}/action", RESET).status == 404
    assert world.row(foreign.id).state is InstanceState.RESIZE


NOBODY = "00000000-0000-4000-8000-000000000000"
MANAGEMENT = [
    ("GET", "/mgmt/instances", None),
    ("GET", f"/mgmt/instances/{NOBODY}", None),
    ("POST", f"/mgmt/instances/{NOBODY}/action", {"stop": {}}),
    ("POST", f"/mgmt/instances/{NOBODY}/action", {"reboot": {}}),
    ("POST", f"/mgmt/instances/{NOBODY}/action", {"reset-task-status": {}}),
    ("GET", "/mgmt/datastore-versions", None),
    ("GET", f"/mgmt/datastore-versions/{NOBODY}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), MANAGEMENT)
def test_management_is_for_administrators(world: World, method: str, path: str, body: object) -> None:
    assert world.call(method, path, body).status == 403


@pytest.mark.parametrize(("method", "path", "body"), [row for row in MANAGEMENT if row[1].count("-") == 4])
def test_what_is_not_there_cannot_be_managed(admins: World, method: str, path: str, body: object) -> None:
    assert admins.call(method, path, body).status == 404


LISTS = [
    ("", {"mine", "clustered", "theirs", "gone"} - {"clustered"}),
    ("deleted=False", {"mine", "theirs"}),
    ("deleted=True", {"gone"}),
    ("deleted=False&include_clustered=True", {"mine", "theirs", "clustered"}),
    ("deleted=False&project_id=another", {"theirs"}),
    (f"deleted=False&project_id={PROJECT}", {"mine"}),
    ("project_id=nobody", set()),
    ("deleted=False&marker=nothing", set()),
]


@pytest.mark.parametrize(("query", "names"), LISTS)
def test_administrators_list_the_instances_of_everybody(admins: World, query: str, names: set[str]) -> None:
    admins.has(name="mine")
    admins.has(name="clustered", cluster_id="cluster-1")
    admins.has(name="theirs", project_id="another")
    admins.has(name="gone", project_id="another", state=InstanceState.DELETED, deleted_at=NOON)

    reply = admins.call("GET", f"/mgmt/instances?{query}")

    assert {each["name"] for each in reply.body["instances"]} == names


def test_a_list_of_everybodys_instances_has_pages(admins: World) -> None:
    made = [admins.has(project_id=f"p{n}", created_at=NOON + timedelta(minutes=n)) for n in range(3)]

    first = admins.call("GET", "/mgmt/instances?deleted=False&limit=2").body
    marker = first["links"][0]["href"].partition("marker=")[2]
    second = admins.call("GET", f"/mgmt/instances?deleted=False&limit=2&marker={marker}").body

    assert "deleted=False" in first["links"][0]["href"]
    ids = [each["id"] for body in (first, second) for each in body["instances"]]
    assert ids == [instance.id for instance in reversed(made)]
    assert "links" not in second


def test_a_list_is_of_deleted_ones_or_not(admins: World) -> None:
    assert admins.call("GET", "/mgmt/instances?deleted=perhaps").status == 400


def test_an_administrator_sees_what_is_the_operators_business(admins: World) -> None:
    theirs = admins.has(project_id="another", server_id="s-1", root_enabled_at=NOON)
    gone = admins.has(state=InstanceState.DELETED, deleted_at=NOON)

    shown = admins.call("GET", f"/mgmt/instances/{theirs.id}").body["instance"]

    assert shown["tenant_id"] == "another"
    assert shown["server"] == {"id": "s-1", "name": "shop", "tenant_id": "another"}
    assert (shown["deleted"], shown["deleted_at"]) == (False, None)
    assert (shown["root_enabled"], shown["root_enabled_at"]) == (True, "2026-03-29T12:00:00")
    assert (shown["service_status"], shown["task_description"]) == ("HEALTHY", "ACTIVE")
    assert "/v1.0/another/instances/" in shown["links"][0]["href"]
    assert (
        admins.call("GET", f"/mgmt/instances/{gone.id}").body["instance"]["deleted_at"]
        == "2026-03-29T12:00:00"
    )
    assert admins.call("GET", f"/instances/{theirs.id}").status == 404


def test_a_reboot_is_a_restart_in_the_name_of_the_project_that_owns_it(admins: World) -> None:
    theirs = admins.has(project_id="another")
    taskmanager = admins.start_taskmanager()

    reply = admins.call("POST", f"/mgmt/instances/{theirs.id}/action", {"reboot": {}})

    assert reply.status == 202
    (start,) = admins.events()
    assert start.event_type == "dbaas.instance_restart.start"
    assert start.payload["tenant_id"] == "another"
    assert start.payload["request_id"] == reply.headers["x-openstack-request-id"]
    (cast,) = taskmanager.notes.casts(1)
    assert (cast.method, cast.args) == ("restart_instance", {"instance_id": theirs.id})
    assert cast.context.project_id == "another"
    assert admins.row(theirs.id).state is InstanceState.REBOOT


def test_an_administrator_stops_a_server(admins: World) -> None:
    theirs, silent = admins.has(project_id="another"), admins.has(project_id="another")
    guest = admins.start_guest(theirs.id)

    assert admins.call("POST", f"/mgmt/instances/{theirs.id}/action", {"stop": {}}).status == 202
    assert [cast.method for cast in guest.notes.casts(1)] == ["stop"]
    assert admins.events() == []
    assert admins.call("POST", f"/mgmt/instances/{silent.id}/action", {"stop": {}}).status == 503
    building = admins.has(state=InstanceState.BUILD)
    assert admins.call("POST", f"/mgmt/instances/{building.id}/action", {"stop": {}}).status == 422


def test_an_administrator_resets_the_status_of_anybodys_instance(admins: World) -> None:
    theirs = admins.has(project_id="another", state=InstanceState.RESIZE)
    gone = admins.has(state=InstanceState.DELETED, deleted_at=NOON)
    admins.start_taskmanager()

    body = {"reset-task-status": {}}
    assert admins.call("POST", f"/mgmt/instances/{theirs.id}/action", body).status == 202
    assert admins.row(theirs.id).state is InstanceState.ERROR
    assert admins.call("POST", f"/mgmt/instances/{gone.id}/action", body).status == 404


@pytest.mark.parametrize("action", ["migrate", "rebuild", "update", "explode"])
def test_what_cannot_be_done_on_one_machine_is_not_pretended(admins: World, action: str) -> None:
    instance = admins.has()

    reply = admins.call("POST", f"/mgmt/instances/{instance.id}/action", {action: {}})

    assert (reply.status, reply.message) == (501, f"The action {action} is not implemented.")


def test_the_versions_on_offer_are_what_the_machine_has(admins: World) -> None:
    versions = admins.call("GET", "/mgmt/datastore-versions").body["versions"]

    (default,) = [each for each in versions if each["default"]]
    assert (default["name"], default["datastore_name"], default["active"]) == ("17", "postgresql", True)
    assert admins.call("GET", f"/mgmt/datastore-versions/{default['id']}").body == {"version": default}
    for method, path, body in (
        ("POST", "/mgmt/datastore-versions", {"version": {}}),
        ("PATCH", f"/mgmt/datastore-versions/{default['id']}", {}),
        ("DELETE", f"/mgmt/datastore-versions/{default['id']}", None),
    ):
        assert admins.call(method, path, body).status == 501


class BusyLifecycle(Lifecycle):
    """One in which somebody restarts the instance between the end of its runs and what comes after it."""

    restart: Callable[[], None]

    def fail(self, run_id: str, error: BaseException | Failure, *, handed_to: str | None = None) -> bool:
        ended = super().fail(run_id, error, handed_to=handed_to)
        self.restart()
        return ended


def test_a_state_that_a_new_run_holds_is_not_reset(world: World) -> None:
    instance = world.has(state=InstanceState.RESIZE)
    begun(world, "instance_resize_volume", instance.id)

    def restart() -> None:
        begun(world, "instance_restart", instance.id)
        with world.database.writing() as tx:
            instances.move(tx, instance.id, None, InstanceState.REBOOT, utcnow())

    lifecycle = BusyLifecycle(world.database, world.lifecycle.announcer)
    lifecycle.restart = restart

    assert reset(lifecycle, instance.id, heartbeat_expiry_s=90.0) == 1

    assert world.row(instance.id).state is InstanceState.REBOOT
    assert [run.operation for run in world.open_runs()] == ["instance_restart"]
