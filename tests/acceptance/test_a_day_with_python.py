"""One tenant's day with python-troveclient as it comes, told in order: what he calls, what he gets, what is announced.

`day.trove` is `troveclient.v1.client.Client`. `day.told()` waits until nothing is under way and says which runs were
announced since it was last asked, each proven to be one start and one ending with the traits of the specification.
"""

from collections.abc import Iterator

import pytest
from tests.support.day import OF_ONE_INSTANCE, PROJECT, Day
from tests.support.standalone import standalone
from tests.support.trove import Refused

OF_ADMINISTRATORS = {"DEFAULT": {"noauth_roles": "admin,member,reader"}}
PASSWORD = "alices-secret-of-the-day"
NEW_PASSWORD = "everybodys-other-secret"
ENGINE = {"datastore": "postgresql", "datastore_version": "17"}


@pytest.fixture
def day() -> Iterator[Day]:
    """A control plane on which the tenant is an administrator, too."""
    with standalone(OF_ADMINISTRATORS) as coffer:
        yield Day(coffer)


@pytest.mark.timeout(600)
def test_a_day_with_python(day: Day) -> None:
    books = an_instance(day)
    databases(day, books)
    users(day, books)
    configuration_groups(day, books)
    more_memory_more_room(day, books)
    copy = backups(day, books)
    quotas_and_limits(day, books)
    source = replicas(day, books, copy)
    administration(day, copy)
    cleaning_up(day, source)

    assert day.succeeded() == OF_ONE_INSTANCE
    assert len(day.succeeded()) == 24
    assert day.requests() <= day.answers  # the answer to each call names the request of its events
    everything = repr(day.announced().events) + day.coffer.log_text()
    assert not [each for each in (PASSWORD, NEW_PASSWORD) if each in everything]


def an_instance(day: Day) -> str:
    instances = day.trove.instances
    alice = {"name": "alice", "password": PASSWORD, "databases": [{"name": "shop"}]}
    made = instances.create(
        "books", "1", volume={"size": 1}, databases=[{"name": "shop"}], users=[alice], **ENGINE
    )
    assert (made.name, made.status, made.flavor["id"], made.volume["size"]) == ("books", "BUILD", "1", 1)
    assert day.told() == ["instance_create.end"]
    start = day.runs[0].start["payload"]
    assert (start["databases"], start["users"], start["volume_size"]) == ("shop", "alice", 1)
    assert day.values_of("trove.instance.create", "instance_id", "instance_size", "volume_size") == [
        (made.id, 512, 1)
    ]

    books = instances.get(made.id)
    assert (books.status, books.operating_status) == ("ACTIVE", "HEALTHY")
    assert books.datastore == {"type": "postgresql", "version": "17", "version_number": "17"}
    assert [each.id for each in instances.list()] == [books.id]
    day.ask(books.id, "alice", PASSWORD, "create table words (word text)")
    day.ask(books.id, "alice", PASSWORD, "insert into words values ('first')")

    instances.update(books.id, name="library")
    assert instances.get(books.id).name == "library"
    assert day.told() == []  # the specification has no event for a name
    instances.restart(books.id)
    assert day.told() == ["instance_restart.end"]
    return str(books.id)


def databases(day: Day, books: str) -> None:
    calls = day.trove.databases
    calls.create(books, [{"name": "orders"}, {"name": "stock", "character_set": "UTF8"}])
    assert day.told() == ["database_create.end"] * 2

    # One run each: what cannot be ends as an error, the other stands, the call succeeds.
    calls.create(books, [{"name": "orders"}, {"name": "returns"}])
    assert sorted(day.told()) == ["database_create.end", "database_create.error database_exists (user)"]
    assert {run.start["payload"]["dbname"]: run.succeeded for run in day.runs} == {
        "orders": False,
        "returns": True,
    }
    assert [each.name for each in calls.list(books)] == ["orders", "returns", "shop", "stock"]

    calls.delete(books, "returns")
    assert day.told() == ["database_delete.end"]
    with pytest.raises(Refused, match="Database returns cannot be found") as refusal:
        calls.delete(books, "returns")
    assert refusal.value.http_status == 404
    assert day.told() == ["database_delete.error not_found (user)"]


def users(day: Day, books: str) -> None:
    calls = day.trove.users
    names = ("bob", "carol")
    calls.create(books, [{"name": name, "password": PASSWORD, "databases": []} for name in names])
    assert day.told() == ["user_create.end"] * 2

    calls.grant(books, "bob", ["shop", "orders", "stock"])
    calls.revoke(books, "bob", "shop")
    assert day.told() == ["user_grant.end"] * 3 + ["user_revoke.end"]
    assert [each.name for each in calls.list_access(books, "bob")] == ["orders", "stock"]

    changes = [{"name": name, "password": NEW_PASSWORD} for name in ("bob", "nobody", "carol")]
    calls.change_passwords(books, changes)
    assert sorted(day.told()) == [
        "user_change_password.end",
        "user_change_password.end",
        "user_change_password.error not_found (user)",
    ]
    assert day.ask(books, "bob", NEW_PASSWORD, "select current_user", database="orders") == "bob"

    calls.update_attributes(books, "bob", {"name": "robert"})
    assert day.told() == ["user_update_attributes.end"]
    robert = calls.get(books, "robert")
    assert (robert.name, robert.databases) == ("robert", [{"name": "orders"}, {"name": "stock"}])
    calls.delete(books, "carol")
    assert day.told() == ["user_delete.end"]
    assert [each.name for each in calls.list(books)] == ["alice", "robert"]


def configuration_groups(day: Day, books: str) -> None:
    calls = day.trove.configurations
    parameters = {p.name: p for p in day.trove.configuration_parameters.parameters("postgresql", "17")}
    assert (parameters["work_mem"].restart_required, parameters["max_connections"].restart_required) == (
        False,
        True,
    )

    group = calls.create("reports", '{"work_mem": "5MB"}', description="for the evening", **ENGINE)
    day.trove.instances.update(books, configuration=group.id)
    assert day.told() == ["configuration_create.end", "instance_attach_configuration.end"]
    assert day.ask(books, "alice", PASSWORD, "show work_mem") == "5MB"

    calls.edit(group.id, '{"jit": false}')  # merges
    calls.update(group.id, '{"work_mem": "6MB"}', name="evening")  # replaces
    assert day.told() == ["configuration_edit.end", "configuration_update.end"]
    assert day.ask(books, "alice", PASSWORD, "show work_mem") == "6MB"
    assert day.ask(books, "alice", PASSWORD, "show jit") == "on"
    assert [each.id for each in calls.instances(group.id)] == [books]

    with pytest.raises(Refused) as refusal:
        calls.edit(group.id, '{"max_connections": -1}')
    assert refusal.value.http_status == 422
    assert day.told() == ["configuration_edit.error invalid_parameter (user)"]
    with pytest.raises(Refused) as refusal:
        calls.delete(group.id)
    assert refusal.value.http_status == 400
    assert day.told() == ["configuration_delete.error bad_request (user)"]

    day.trove.instances.update(books, remove_configuration=True)
    calls.delete(group.id)
    assert day.told() == ["instance_detach_configuration.end", "configuration_delete.end"]
    assert list(calls.list()) == []


def more_memory_more_room(day: Day, books: str) -> None:
    instances = day.trove.instances
    instances.resize_instance(books, "2")
    assert day.told() == ["instance_resize_instance.end"]
    instances.resize_volume(books, 2)
    assert day.told() == ["instance_resize_volume.end"]
    assert day.values_of("trove.instance.modify_flavor", "old_instance_size", "instance_size") == [
        (512, 1024)
    ]
    assert day.values_of("trove.instance.modify_volume", "old_volume_size", "volume_size") == [(1, 2)]

    with pytest.raises(Refused, match="has the flavor 2 already") as refusal:
        instances.resize_instance(books, "2")
    assert refusal.value.http_status == 400
    with pytest.raises(Refused, match="more than the present 2 GiB") as refusal:
        instances.resize_volume(books, 1)
    assert refusal.value.http_status == 400
    assert day.told() == [
        "instance_resize_instance.error bad_request (user)",
        "instance_resize_volume.error bad_request (user)",
    ]
    assert day.tenant.status_of(books) == "ACTIVE"


def backups(day: Day, books: str) -> str:
    calls = day.trove.backups
    nightly = calls.create("nightly", books, description="all of it")
    assert day.told() == ["backup_create.end"]
    day.ask(books, "alice", PASSWORD, "insert into words values ('second')")
    hourly = calls.create("hourly", books, parent_id=nightly.id)
    assert day.told() == ["backup_create.end"]
    day.ask(books, "alice", PASSWORD, "insert into words values ('third')")
    assert {each.name: each.status for each in calls.list()} == {
        "nightly": "COMPLETED",
        "hourly": "COMPLETED",
    }
    assert calls.get(hourly.id).parent_id == nightly.id

    copy = day.trove.instances.create(
        "copy", "1", volume={"size": 2}, restorePoint={"backupRef": hourly.id}, **ENGINE
    )
    assert day.told() == ["instance_create.end"]
    assert day.runs[0].start["payload"]["restore_point"] == hourly.id
    words = "select string_agg(word, ' ' order by word) from words"
    assert day.ask(copy.id, "alice", PASSWORD, words) == "first second"

    with pytest.raises(Refused, match="does not fit into 1 GiB") as refusal:
        day.trove.instances.create(
            "copy", "1", volume={"size": 1}, restorePoint={"backupRef": hourly.id}, **ENGINE
        )
    assert refusal.value.http_status == 403
    assert day.told() == ["instance_create.error backup_too_large (user)"]
    calls.delete(nightly.id)  # and what was built upon it
    assert day.told() == ["backup_delete.end"]
    assert list(calls.list()) == []
    return str(copy.id)


def quotas_and_limits(day: Day, books: str) -> None:
    assert day.trove.limits.list()[0].max_instances == 10
    assert day.trove.quota.update(PROJECT, {"instances": 2, "backups": 0})["instances"] == 2
    assert day.trove.limits.list()[0].max_instances == 2

    with pytest.raises(Refused, match="instances") as refusal:
        day.trove.instances.create("more", "1", volume={"size": 1}, **ENGINE)
    assert refusal.value.http_status == 413
    with pytest.raises(Refused, match="backups") as refusal:
        day.trove.backups.create("more", books)
    assert refusal.value.http_status == 413
    assert day.told() == [
        "instance_create.error quota_exceeded (user)",
        "backup_create.error quota_exceeded (user)",
    ]

    quotas = {each.resource: each for each in day.trove.quota.show(PROJECT)}
    assert {name: (each.in_use, each.reserved) for name, each in quotas.items()} == {
        "instances": (2, 0),
        "ram": (1024 + 512, 0),
        "volumes": (4, 0),
        "backups": (0, 0),
    }
    day.trove.quota.update(PROJECT, {"instances": 10, "backups": 50})
    assert day.told() == []


def replicas(day: Day, books: str, copy: str) -> str:
    instances = day.trove.instances
    instances.create("mirror", replica_of=books, replica_count=2)
    assert day.told() == ["instance_create.end"] * 2  # one run each
    assert {run.start["payload"]["replica_of"] for run in day.runs} == {books}
    ids = {each.name: each.id for each in instances.list()}
    first, second = ids["mirror-1"], ids["mirror-2"]
    assert day.source_of(books, first, second) == books
    with pytest.raises(Refused, match="is a replica") as refusal:
        day.trove.databases.create(first, [{"name": "reports"}])
    assert refusal.value.http_status == 400
    assert day.told() == ["database_create.error replica_read_only (user)"]

    instances.promote_to_replica_source(first)
    assert day.told() == ["instance_promote.end"]
    assert day.source_of(books, first, second) == first
    day.ask(first, "alice", PASSWORD, "insert into words values ('fourth')")
    words = "select string_agg(word, ' ' order by word) from words"
    for each in (books, second):
        day.wait_until_it_says(each, "alice", PASSWORD, words, "first fourth second third")
    for call, asked, code, status in (
        (instances.promote_to_replica_source, copy, "instance_promote.error not_replica", 400),
        (instances.eject_replica_source, copy, "instance_eject.error no_replicas", 400),
        (instances.eject_replica_source, first, "instance_eject.error source_alive", 400),
        (instances.delete, first, "instance_delete.error has_replicas", 403),
    ):
        with pytest.raises(Refused) as refusal:
            call(asked)
        assert refusal.value.http_status == status
        assert day.told() == [f"{code} (user)"]

    day.kill_server(first)
    instances.eject_replica_source(first)
    assert day.told() == ["instance_eject.end"]
    source = day.source_of(books, second)
    assert day.ask(source, "alice", PASSWORD, words) == "first fourth second third"
    assert not hasattr(instances.get(first), "replica_of")
    (replica,) = {books, second} - {source}
    instances.update(replica, detach_replica_source=True)
    assert day.told() == ["instance_detach.end"]
    day.ask(replica, "alice", PASSWORD, "insert into words values ('of its own')")
    assert day.ask(source, "alice", PASSWORD, words) == "first fourth second third"
    return source


def administration(day: Day, copy: str) -> None:
    """What an administrator does to an instance is announced for the project that owns it."""
    calls = day.trove.mgmt_instances
    assert copy in {each.id for each in calls.list()}
    assert calls.show(copy).tenant_id == PROJECT
    calls.stop(copy)
    assert day.told() == []  # the specification has no event for it
    day.tenant.wait_for_server(copy, "SHUTDOWN")
    with pytest.raises(Refused) as refusal:
        day.trove.backups.create("nightly", copy)
    assert refusal.value.http_status == 422
    assert day.told() == ["backup_create.error server_not_running (user)"]

    calls.reboot(copy)
    assert day.told() == ["instance_restart.end"]
    assert day.ask(copy, "alice", PASSWORD, "select 1") == 1
    calls.reset_task_status(copy)
    assert day.tenant.status_of(copy) == "ACTIVE"
    assert day.told() == []


def cleaning_up(day: Day, source: str) -> None:
    instances = day.trove.instances
    for each in instances.list():
        instances.force_delete(each.id)
    told = day.told()
    assert set(told) == {"instance_delete.end"}
    assert list(instances.list()) == []
    with pytest.raises(Refused) as refusal:
        instances.delete(source)
    assert refusal.value.http_status == 404
    assert day.told() == []  # what is not there has nothing to tell
    born = day.values_of("trove.instance.create", "instance_id", "launched_at")
    gone = day.values_of("trove.instance.delete", "instance_id", "launched_at")
    assert sorted(born) == sorted(gone)
