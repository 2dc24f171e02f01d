"""One tenant's day with `openstack database`, told in order: what he types, what he sees, what is announced.

The commands are python-troveclient's as it comes, each a process of its own. `day.told()` waits until nothing is under
way and says which runs were announced since it was last asked, each proven to be one start and one ending.
"""

from collections.abc import Iterator

import pytest
from tests.support.day import OF_ONE_INSTANCE, PROJECT, Day
from tests.support.standalone import standalone

OF_ADMINISTRATORS = {"DEFAULT": {"noauth_roles": "admin,member,reader"}}
PASSWORD = "alices-secret-of-the-day"
NEW_PASSWORD = "roberts-other-secret"
IS_THERE_ALREADY = ["database_create.error database_exists (user)"]


@pytest.fixture
def day() -> Iterator[Day]:
    """A control plane on which the tenant may set quotas, too."""
    with standalone(OF_ADMINISTRATORS) as coffer:
        yield Day(coffer)


@pytest.mark.timeout(600)
def test_a_day_with_the_cli(day: Day) -> None:
    books = a_server_of_ones_own(day)
    databases_and_users(day, books)
    a_configuration_group(day, books)
    more_memory_more_room(day, books)
    copy = a_backup_and_a_copy(day)
    as_much_as_there_is_quota_for(day)
    replicas_that_take_over(day, books, copy)
    going_home(day)

    # `openstack database` has no command for several passwords; test_a_day_with_python has that.
    assert day.succeeded() == OF_ONE_INSTANCE - {"user_change_password"}
    everything = repr(day.announced().events) + day.coffer.log_text()
    assert not [each for each in (PASSWORD, NEW_PASSWORD) if each in everything]


def a_server_of_ones_own(day: Day) -> str:
    flavors = day.openstack.read("flavor", "list")
    assert ("1", "db.tiny", 512) in [(str(row["ID"]), row["Name"], row["RAM"]) for row in flavors]

    where = ("--flavor", "db.tiny", "--size", "1", "--datastore", "postgresql")
    what = ("--databases", "shop", "--users", f"alice:{PASSWORD}")
    made = day.openstack.read("instance", "create", "books", *where, *what)
    assert day.told() == ["instance_create.end"]
    assert day.values_of("trove.instance.create", "instance_id", "instance_size", "volume_size") == [
        (made["id"], 512, 1)
    ]

    shown = day.openstack.read("instance", "show", "books")
    assert (shown["id"], shown["status"], shown["flavor"], shown["volume"]) == (made["id"], "ACTIVE", "1", 1)
    assert day.ask(made["id"], "alice", PASSWORD, "select current_user") == "alice"
    return str(made["id"])


def databases_and_users(day: Day, books: str) -> None:
    day.openstack.run("db", "create", "books", "orders")
    assert day.told() == ["database_create.end"]
    assert "A database with the name orders already exists. (HTTP 400)" in day.openstack.refused(
        "db", "create", "books", "orders"
    )
    assert day.told() == IS_THERE_ALREADY
    assert day.openstack.read("db", "list", "books") == [{"Name": "orders"}, {"Name": "shop"}]

    day.openstack.run("user", "create", "books", "bob", "bobs-secret", "--databases", "shop")
    assert day.told() == ["user_create.end"]
    # One run each: what cannot be granted ends as an error, and the other stands.
    day.openstack.run("user", "grant", "access", "books", "bob", "orders", "nowhere")
    assert day.told() == ["user_grant.end", "user_grant.error not_found (user)"]
    assert len({run.start["payload"]["request_id"] for run in day.runs}) == 1
    day.openstack.run("user", "revoke", "access", "books", "bob", "shop")

    rename = ("--new_name", "robert", "--new_password", NEW_PASSWORD)
    day.openstack.run("user", "update", "attributes", "books", "bob", *rename)
    assert day.told() == ["user_revoke.end", "user_update_attributes.end"]
    assert day.ask(books, "robert", NEW_PASSWORD, "select 1", database="orders") == 1
    assert {"Name": "robert", "Host": "%", "Databases": "orders"} in day.openstack.read(
        "user", "list", "books"
    )

    day.openstack.run("user", "delete", "books", "robert")
    day.openstack.run("db", "delete", "books", "orders")
    assert day.told() == ["user_delete.end", "database_delete.end"]


def a_configuration_group(day: Day, books: str) -> None:
    version = ("--datastore", "postgresql", "--datastore-version", "17")
    group = day.openstack.read("configuration", "create", "reports", '{"work_mem": "5MB"}', *version)["id"]
    day.openstack.run("configuration", "attach", "books", "reports")
    assert day.told() == ["configuration_create.end", "instance_attach_configuration.end"]
    assert day.ask(books, "alice", PASSWORD, "show work_mem") == "5MB"

    day.openstack.run("configuration", "parameter", "set", group, '{"max_connections": 42}')
    assert day.told() == ["configuration_edit.end"]
    assert day.tenant.status_of(books) == "RESTART_REQUIRED"
    day.openstack.run("instance", "restart", "books")
    assert day.told() == ["instance_restart.end"]
    assert day.tenant.status_of(books) == "ACTIVE"
    assert day.ask(books, "alice", PASSWORD, "show max_connections") == "42"

    day.openstack.run("configuration", "set", group, '{"max_connections": 42, "work_mem": "6MB"}')
    assert "(HTTP 422)" in day.openstack.refused("configuration", "set", group, '{"work_mem": "much"}')
    assert "(HTTP 400)" in day.openstack.refused("configuration", "delete", "reports")
    assert day.told() == [
        "configuration_update.end",
        "configuration_update.error invalid_parameter (user)",
        "configuration_delete.error bad_request (user)",  # it is attached
    ]
    assert day.ask(books, "alice", PASSWORD, "show work_mem") == "6MB"

    day.openstack.run("configuration", "detach", "books")
    day.openstack.run("configuration", "delete", "reports")
    assert day.told() == ["instance_detach_configuration.end", "configuration_delete.end"]


def more_memory_more_room(day: Day, books: str) -> None:
    day.openstack.run("instance", "resize", "flavor", "books", "db.small")
    assert day.told() == ["instance_resize_instance.end"]
    day.openstack.run("instance", "resize", "volume", "books", "2")
    assert day.told() == ["instance_resize_volume.end"]
    assert "No flavor with a name or ID of 'db.gigantic' exists" in day.openstack.refused(
        "instance", "resize", "flavor", "books", "db.gigantic"
    )  # the client looked for it and never asked
    refusal = day.openstack.refused("instance", "resize", "volume", "books", "1")
    assert "more than the present 2 GiB" in refusal
    assert day.told() == ["instance_resize_volume.error bad_request (user)"]

    shown = day.tenant.show(books)
    assert (shown["status"], shown["flavor"]["id"], shown["volume"]["size"]) == ("ACTIVE", "2", 2)
    assert day.values_of("trove.instance.modify_flavor", "old_instance_size", "instance_size") == [
        (512, 1024)
    ]
    assert day.values_of("trove.instance.modify_volume", "old_volume_size", "volume_size") == [(1, 2)]


def a_backup_and_a_copy(day: Day) -> str:
    nightly = day.openstack.read("backup", "create", "nightly", "--instance", "books")
    assert day.told() == ["backup_create.end"]
    day.openstack.run("backup", "create", "hourly", "--instance", "books", "--parent", nightly["id"])
    assert day.told() == ["backup_create.end"]
    backups = day.openstack.read("backup", "list")
    assert {(row["Name"], row["Status"], row["Parent ID"]) for row in backups} == {
        ("nightly", "COMPLETED", None),
        ("hourly", "COMPLETED", nightly["id"]),
    }

    point = ("--backup", "hourly", "--flavor", "db.tiny", "--size", "2", "--datastore", "postgresql")
    copy = day.openstack.read("instance", "create", "copy", *point)["id"]
    assert day.told() == ["instance_create.end"]
    assert day.ask(copy, "alice", PASSWORD, "select current_database()") == "shop"

    day.openstack.run("backup", "delete", "nightly")  # and what was built upon it
    assert day.told() == ["backup_delete.end"]
    assert list(day.trove.backups.list()) == []
    return str(copy)


def as_much_as_there_is_quota_for(day: Day) -> None:
    day.openstack.run("quota", "update", PROJECT, "instances", "2")
    refusal = day.openstack.refused(
        "instance", "create", "more", "--flavor", "db.tiny", "--size", "1", "--datastore", "postgresql"
    )
    assert (
        "Quota exceeded for resources: instances (2 of 2 are taken, 1 more asked for). (HTTP 413)" in refusal
    )
    assert day.told() == ["instance_create.error quota_exceeded (user)"]
    assert day.runs[0].start["payload"]["request_id"] in refusal  # with it the operator finds the events
    quotas = {row["Resource"]: row for row in day.openstack.read("quota", "show", PROJECT)}
    assert quotas["instances"] == {"Resource": "instances", "In Use": 2, "Reserved": 0, "Limit": 2}
    assert quotas["volumes"]["In Use"] == 4
    day.trove.quota.update(PROJECT, {"instances": 10})


def replicas_that_take_over(day: Day, books: str, copy: str) -> None:
    day.ask(books, "alice", PASSWORD, "create table words (word text)")
    day.openstack.run("instance", "create", "mirror", "--replica-of", "books", "--replica-count", "2")
    assert day.told() == ["instance_create.end"] * 2  # one run each
    rows = {row["Name"]: row for row in day.openstack.read("instance", "list")}
    assert {name: row["Role"] for name, row in rows.items()} == {
        "books": "primary",
        "mirror-1": "replica",
        "mirror-2": "replica",
        "copy": "",
    }
    first, second = rows["mirror-1"]["ID"], rows["mirror-2"]["ID"]
    assert day.source_of(books, first, second) == books

    day.ask(books, "alice", PASSWORD, "insert into words values ('from books')")
    day.openstack.run("instance", "promote", "mirror-1")
    assert day.told() == ["instance_promote.end"]
    assert day.source_of(books, first, second) == first
    day.ask(first, "alice", PASSWORD, "insert into words values ('from the mirror')")
    words = "select string_agg(word, ', ' order by word) from words"
    for each in (books, second):
        day.wait_until_it_says(each, "alice", PASSWORD, words, "from books, from the mirror")

    assert f"Instance {copy} is no replica. (HTTP 400)" in day.openstack.refused(
        "instance", "promote", "copy"
    )
    assert day.told() == ["instance_promote.error not_replica (user)"]
    assert f"Instance {first} is alive" in day.openstack.refused("instance", "eject", "mirror-1")
    assert day.told() == ["instance_eject.error source_alive (user)"]
    assert f"Instance {first} has replicas" in day.openstack.refused("instance", "delete", first)
    assert day.told() == ["instance_delete.error has_replicas (user)"]

    day.kill_server(first)
    day.openstack.run("instance", "eject", "mirror-1")
    assert day.told() == ["instance_eject.end"]
    source = day.source_of(books, second)
    assert "replica_of" not in day.tenant.show(first)
    assert day.ask(source, "alice", PASSWORD, words) == "from books, from the mirror"

    (replica,) = {books, second} - {source}
    day.openstack.run("instance", "detach", replica)
    assert day.told() == ["instance_detach.end"]
    day.ask(replica, "alice", PASSWORD, "insert into words values ('of its own')")
    assert day.ask(source, "alice", PASSWORD, "select count(*) from words") == 2


def going_home(day: Day) -> None:
    day.openstack.run("instance", "delete", "books", "copy", "mirror-1", "mirror-2")
    assert day.told() == ["instance_delete.end"] * 4
    assert list(day.trove.instances.list()) == []
    assert "No instance with a name or ID of 'books' exists" in day.openstack.refused(
        "instance", "restart", "books"
    )
    assert day.told() == []  # what is not there has nothing to tell
    born = day.values_of("trove.instance.create", "instance_id", "launched_at")
    assert sorted(born) == sorted(day.values_of("trove.instance.delete", "instance_id", "launched_at"))
