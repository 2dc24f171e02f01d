"""Replicas on real servers: what is written arrives, and what was confirmed survives every change of roles."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.functional.control_plane.replicating import DONE_S, Group, Writer, announced, runs_of
from tests.support.control_plane import DATABASE, USER, ControlPlane
from tests.support.waiting import wait_for

from coffer.catalogue.states import ServiceStatus
from coffer.store import instances


@pytest.fixture
def group(control: ControlPlane) -> Iterator[Group]:
    """A source and two replicas, deleted afterwards."""
    made = Group(control)
    yield made
    made.delete()


def test_what_is_written_at_the_source_is_read_at_each_replica(control: ControlPlane, group: Group) -> None:
    source, *replicas = group.ids
    group.add(source, "sealed")
    group.all_get("sealed")

    for replica in replicas:
        with control.log_in(replica) as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("insert into words values ('forged')")
        assert control.show(replica)["replica_of"]["id"] == source
        status, body = control.call("GET", f"/instances/{replica}/databases")
        assert (status, body) == (200, {"databases": [{"name": DATABASE}]})
        assert (
            control.call("POST", f"/instances/{replica}/databases", {"databases": [{"name": "x"}]})[0] == 400
        )
        assert control.call("POST", f"/instances/{replica}/root")[0] == 400
    created = [told for told in runs_of(control, "instance_create") if "replica_of" in told.start.payload]
    mine = [told for told in created if told.start.payload["replica_of"] == source]
    assert sorted(str(told.ending.payload["instance_id"]) for told in mine) == sorted(replicas)
    assert {told.ending.event_type for told in mine} == {"dbaas.instance_create.end"}
    assert {told.start.payload["replica_count"] for told in mine} == {"2"}
    assert len({told.start.payload["request_id"] for told in mine}) == 1
    facts = [
        event for event in control.events("trove.instance.create") if event.payload["instance_id"] in replicas
    ]
    assert len(facts) == 2
    for fact in facts:
        assert fact.payload["state"] == "active"
        assert fact.payload["created_at"] == fact.payload["launched_at"]


def test_what_lets_a_replica_in_is_kept_by_nobody_on_the_way(
    control: ControlPlane, group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    source, first, _ = group.ids
    with announced(control, "instance_promote"):
        group.act(first, "promote_to_replica_source")
    secrets = [
        (control.guest_dir(source) / "replica.secret").read_text().strip(),
        (control.guest_dir(first) / "admin.secret").read_text().strip(),
    ]
    kept = b"".join(path.read_bytes() for path in control.root.glob("coffer.db*")).decode(errors="ignore")
    for secret in secrets:
        password = secret.rpartition(":")[2]
        assert len(password) > 16
        assert password not in kept
        assert password not in caplog.text
        assert all(password not in str(event) for event in control.events())


def test_a_database_and_a_user_made_at_the_source_are_at_the_replicas(
    control: ControlPlane, group: Group
) -> None:
    source, replica, _ = group.ids
    assert (
        control.call("POST", f"/instances/{source}/databases", {"databases": [{"name": "ledger"}]})[0] == 202
    )
    body = {"users": [{"name": "eve", "password": "eve's", "databases": [{"name": "ledger"}]}]}
    wait_for(lambda: not control.open_runs(), DONE_S, "the database to be made")
    assert control.call("POST", f"/instances/{source}/users", body)[0] == 202

    def has_both() -> bool:
        users = control.call("GET", f"/instances/{replica}/users")[1]["users"]
        return sorted(user["name"] for user in users) == sorted([USER, "eve"])

    wait_for(has_both, 30, "the user at the replica")


def test_a_promotion_under_a_writing_client_loses_nothing_that_was_confirmed(
    control: ControlPlane, group: Group
) -> None:
    source, first, second = group.ids
    with Writer(group) as writer:
        with announced(control, "instance_promote") as told:
            group.act(first, "promote_to_replica_source")
        writer.wait_for(20, at=first)

    assert told[0].ending.event_type == "dbaas.instance_promote.end"
    assert told[0].start.payload["instance_id"] == told[0].ending.payload["instance_id"] == first
    assert told[0].ending.payload["server_type"] == "task"
    assert group.roles() == [first, None, first]
    assert group.states() == ["ACTIVE"] * 3
    assert [each["id"] for each in control.show(first)["replicas"]] == [source, second]
    found = group.words(first)
    assert set(writer.confirmed) <= set(found), "a row that was confirmed is lost"
    group.all_get(*found)
    # And back again: a source that has become a replica is one like any other.
    with announced(control, "instance_promote") as told:
        group.act(source, "promote_to_replica_source")
    assert told[0].ending.event_type == "dbaas.instance_promote.end"
    group.add(source, "z-back")
    group.all_get(*found, "z-back")


def test_a_dead_source_is_ejected_and_stands_alone(control: ControlPlane, group: Group) -> None:
    source, first, second = group.ids
    group.add(source, "before")
    group.all_get("before")
    assert control.action(source, {"eject_replica_source": {}}) == 400  # it lives
    group.kill_server(source)

    with announced(control, "instance_eject") as told:
        group.act(source, "eject_replica_source")

    assert told[0].ending.event_type == "dbaas.instance_eject.end"
    assert told[0].start.payload["instance_id"] == told[0].ending.payload["instance_id"] == source
    new = first if control.row(first).replica_of is None else second
    other = second if new == first else first
    assert (control.row(source).replica_of, control.row(other).replica_of) == (None, new)
    assert group.states() == ["ACTIVE"] * 3
    group.add(new, "later")
    group.all_get("before", "later", ids=[new, other])
    # It does not come back by itself; its tenant may start it, and then it is an instance of its own.
    assert control.row(source).service_status is not ServiceStatus.HEALTHY
    group.act(source, "restart")
    wait_for(lambda: not control.open_runs(), DONE_S, "the restart")
    assert group.words(source) == ["before"]
    group.add(source, "alone")
    assert group.words(new) == ["before", "later"]
    assert control.call("DELETE", f"/instances/{source}")[0] == 202
    assert control.call("DELETE", f"/instances/{new}")[0] == 403


def test_an_ejected_source_that_only_seemed_dead_takes_no_more_writes(
    control: ControlPlane, group: Group
) -> None:
    """Its agent is silent and its server serves: whoever went on writing there would write for nobody."""
    source, first, second = group.ids
    with control.log_in(source) as client:
        client.execute("insert into words values ('before')")
        group.all_get("before")
        with group.without_agent(source), announced(control, "instance_eject") as told:
            with control.database.writing() as tx:
                instances.update(tx, source, control.task.clock(), service_seen_at=None)
            group.act(source, "eject_replica_source")
        with pytest.raises(psycopg.OperationalError):
            client.execute("insert into words values ('lost')")

    assert told[0].ending.event_type == "dbaas.instance_eject.end"
    new = first if control.row(first).replica_of is None else second
    with pytest.raises(psycopg.OperationalError):
        control.log_in(source)
    group.add(new, "later")
    group.all_get("before", "later", ids=[first, second])


def test_a_detached_replica_is_an_instance_of_its_own(control: ControlPlane, group: Group) -> None:
    source, first, second = group.ids
    group.add(source, "shared")
    group.all_get("shared")

    with announced(control, "instance_detach") as told:
        assert group.detach(first) == 202

    assert told[0].ending.event_type == "dbaas.instance_detach.end"
    assert group.roles() == [None, None, source]
    assert "replica_of" not in control.show(first)
    group.add(first, "mine")
    group.add(source, "ours")
    group.all_get("shared", "ours", ids=[source, second])
    assert group.words(first) == ["mine", "shared"]
    # The bill goes on as if nothing was: it is the same instance.
    with announced(control, "instance_restart"):
        group.act(first, "restart")
    assert group.words(first) == ["mine", "shared"]


def test_a_replica_is_deleted_and_its_source_keeps_nothing_for_it(
    control: ControlPlane, group: Group
) -> None:
    source, first, second = group.ids
    assert control.call("DELETE", f"/instances/{source}")[0] == 403

    with announced(control, "instance_delete") as told:
        assert control.call("DELETE", f"/instances/{first}")[0] == 202

    assert told[0].ending.event_type == "dbaas.instance_delete.end"
    assert [each["id"] for each in control.show(source)["replicas"]] == [second]
    (gone,) = [e for e in control.events("trove.instance.delete") if e.payload["instance_id"] == first]
    assert gone.payload["state"] == "deleted"
    assert slots(control, source) == 1


def slots(control: ControlPlane, instance_id: str) -> int:
    """How many places in its log a source keeps."""
    return int(control.ask(instance_id, "select count(*) from pg_replication_slots"))
