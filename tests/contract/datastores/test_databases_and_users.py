"""Databases and users on a real PostgreSQL, with names and passwords that people really type."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.support.tenants import log_in, write_and_read

from coffer.catalogue.errors import BadRequest, CofferError, DatabaseExists, GuestFailed, NotFound, UserExists
from coffer.datastores.driver import DatabaseSpec, Place, UserSpec
from coffer.datastores.postgresql.driver import PostgresqlDriver

Served = tuple[Place, PostgresqlDriver]

NAMES = [
    "plain",
    "Mixed Case",
    "o'brien",
    'say "hello"',
    "semi;colon; drop database postgres; --",
    "back\\slash",
    "percent %s %(x)s {} {name}",
    "select",
    "ünïcode-数据-🗄",
    "ü" * 31 + "x",  # 63 bytes
    "x" * 63,
    "a/b.c@d:e",
]
BAD_NAMES = [
    "",
    " lead",
    "trail ",
    "nul\0l",
    "line\nbreak",
    "\x7f",
    "x" * 64,
    "ü" * 32,
    "\ud800",
    "pg_x",
    "os_admin",
]


@contextmanager
def database(driver: PostgresqlDriver, name: str | None = None) -> Iterator[str]:
    found = name or f"db-{uuid.uuid4()}"
    driver.create_database(DatabaseSpec(found))
    yield found
    driver.delete_database(found)


def new_user(driver: PostgresqlDriver, *databases: str, password: str = "pä'ss\"; \\ %s") -> UserSpec:
    user = UserSpec(f"u-{uuid.uuid4()}", password, databases=databases)
    driver.create_user(user)
    return user


@pytest.mark.parametrize("name", NAMES)
def test_any_typed_name_is_a_database_and_a_user_that_works(served: Served, name: str) -> None:
    place, driver = served
    password = f"pass {name}"
    with database(driver, name):
        assert name in driver.list_databases()
        driver.create_user(UserSpec(name, password, databases=(name,)))
        assert write_and_read(place, name, password, name) == 42
        assert driver.get_user(name, "%").databases == (name,)
        assert driver.list_access(name, "%") == [name]
        driver.delete_user(name, "%")
        assert name not in [user.name for user in driver.list_users()]
    assert name not in driver.list_databases()


@pytest.mark.parametrize("name", [*BAD_NAMES, "postgres", "template0", "template1"])
def test_a_name_that_cannot_be_is_refused_and_is_not_there(served: Served, name: str) -> None:
    _, driver = served
    with pytest.raises(BadRequest):
        driver.create_database(DatabaseSpec(name))
    with pytest.raises(NotFound):
        driver.delete_database(name)


@pytest.mark.parametrize("name", [*BAD_NAMES, "postgres", "public", "none"])
def test_a_user_name_that_cannot_be_is_refused_and_is_not_there(served: Served, name: str) -> None:
    _, driver = served
    with pytest.raises(BadRequest):
        driver.create_user(UserSpec(name, "secret"))
    with pytest.raises(NotFound):
        driver.get_user(name, "%")
    with pytest.raises(NotFound):
        driver.delete_user(name, "%")


@pytest.mark.parametrize("password", ["", "nul\0l", "x" * 513, "line\nbreak"])
def test_a_password_that_cannot_be_is_refused_without_being_quoted(served: Served, password: str) -> None:
    _, driver = served
    with pytest.raises(BadRequest) as refusal:
        driver.create_user(UserSpec("somebody", password))
    assert not password or password not in refusal.value.message


def test_what_exists_is_refused_and_stays_as_it_was(served: Served) -> None:
    place, driver = served
    with database(driver) as name:
        with pytest.raises(DatabaseExists):
            driver.create_database(DatabaseSpec(name))
        user = new_user(driver, name)
        with pytest.raises(UserExists):
            driver.create_user(UserSpec(user.name, "another"))
        assert write_and_read(place, user.name, user.password, name) == 42
        driver.delete_user(user.name, "%")


def test_what_does_not_exist_is_not_found(served: Served) -> None:
    _, driver = served
    with pytest.raises(NotFound, match="Database nowhere"):
        driver.delete_database("nowhere")
    for ask in (driver.get_user, driver.list_access, driver.delete_user):
        with pytest.raises(NotFound, match="User nobody"):
            ask("nobody", "%")


def test_a_user_for_an_unknown_database_is_not_half_created(served: Served) -> None:
    _, driver = served
    with database(driver) as name:
        with pytest.raises(NotFound, match="Database nowhere"):
            driver.create_user(UserSpec("half", "secret", databases=(name, "nowhere")))
        with pytest.raises(NotFound):
            driver.get_user("half", "%")
        driver.create_user(UserSpec("half", "secret", databases=(name,)))
        driver.delete_user("half", "%")


def test_a_host_is_refused_because_postgresql_knows_none(served: Served) -> None:
    _, driver = served
    with pytest.raises(BadRequest, match="no host"):
        driver.create_user(UserSpec("somebody", "secret", host="10.0.0.1"))
    for ask in (driver.get_user, driver.list_access, driver.delete_user):
        with pytest.raises(BadRequest, match="no host"):
            ask("somebody", "10.0.0.1")


def test_two_users_cannot_enter_each_others_database(served: Served) -> None:
    place, driver = served
    with database(driver) as mine, database(driver) as yours:
        me, you = new_user(driver, mine), new_user(driver, yours)
        for user, foreign in ((me, yours), (you, mine), (me, "postgres"), (me, "template1")):
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                log_in(place, user.name, user.password, foreign)
        for user in (me, you):
            driver.delete_user(user.name, "%")


def test_a_user_who_owns_things_and_is_logged_in_can_be_deleted(served: Served) -> None:
    place, driver = served
    with database(driver) as one, database(driver) as two:
        user = new_user(driver, one, two)
        write_and_read(place, user.name, user.password, one)
        write_and_read(place, user.name, user.password, two)
        with log_in(place, user.name, user.password, two) as session:
            driver.delete_user(user.name, "%")
            with pytest.raises(psycopg.OperationalError):
                session.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            log_in(place, user.name, user.password, one)
        # What he made is still there, for whoever gets the database next.
        heir = new_user(driver, one)
        with log_in(place, heir.name, heir.password, one) as session:
            assert session.execute(
                "select count(*) from pg_tables where schemaname = 'public'"
            ).fetchone() == (1,)
        driver.delete_user(heir.name, "%")


def test_a_database_is_deleted_while_somebody_works_in_it(served: Served) -> None:
    place, driver = served
    driver.create_database(DatabaseSpec("busy"))
    user = new_user(driver, "busy")
    with log_in(place, user.name, user.password, "busy") as session:
        driver.delete_database("busy")
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    assert driver.list_access(user.name, "%") == []
    driver.delete_user(user.name, "%")


def test_encodings_and_collations_are_those_we_offer(served: Served) -> None:
    _, driver = served
    driver.create_database(DatabaseSpec("german", character_set="utf8", collate="C"))
    driver.delete_database("german")
    for refused in (DatabaseSpec("x", character_set="latin1"), DatabaseSpec("x", collate="utf8_general_ci")):
        with pytest.raises(BadRequest):
            driver.create_database(refused)
    assert "x" not in driver.list_databases()


def test_lists_are_sorted_and_hide_what_is_the_servers_own(served: Served) -> None:
    _, driver = served
    with database(driver, "b"), database(driver, "B"), database(driver, "ä"):
        assert driver.list_databases() == ["B", "b", "ä"]
    driver.enable_root("root secret")
    assert driver.list_users() == []


def test_a_password_is_in_no_log_and_on_no_process(served: Served) -> None:
    place, driver = served
    secret = f"canary-{uuid.uuid4()}"
    with database(driver) as name:
        user = new_user(driver, name, password=secret)
        with pytest.raises(UserExists):
            driver.create_user(user)
        with pytest.raises(CofferError):
            driver.create_user(UserSpec(user.name, secret, databases=("nowhere",)))
        driver.enable_root(secret)
        assert secret not in repr(user)
        log = "".join(path.read_text() for path in (place.directory / "log").iterdir())
        assert "database system is ready" in log
        for word in (secret, "SCRAM-SHA-256$"):
            assert word not in log
        assert not holders_of(secret, (place.directory / "admin.secret").read_text())
        driver.delete_user(user.name, "%")


def holders_of(*secrets: str) -> list[str]:
    """Return the arguments and environments of processes that hold a secret; the test's own do not count."""
    found = []
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        found += [str(path) for secret in secrets if secret in text]
    return found


def test_root_is_a_superuser_with_the_password_given_or_made(served: Served) -> None:
    place, driver = served
    for wanted in ("giv'en", None):
        found = driver.enable_root(wanted)
        assert found.name == "postgres"
        assert found.password == (wanted or found.password)
        assert len(found.password) >= 6
        assert driver.is_root_enabled()
        with log_in(place, "postgres", found.password, "postgres") as session:
            assert session.execute("show is_superuser").fetchone() == ("on",)
    with pytest.raises(BadRequest):
        driver.enable_root("nul\0l")


def test_what_the_server_refuses_becomes_a_reason_without_the_statement(served: Served) -> None:
    place, driver = served
    root = driver.enable_root(None)
    with database(driver) as name:
        with log_in(place, "postgres", root.password, "postgres") as session:
            session.execute(f'alter database "{name}" with is_template true')
        with pytest.raises(NotFound):  # a template is not the tenant's any more
            driver.delete_database(name)
        user = new_user(driver)
        with log_in(place, "postgres", root.password, "postgres") as session:
            session.execute(f'alter database "{name}" with is_template false')
            session.execute(f'alter database "{name}" owner to "{user.name}"')
            session.execute("create database closed")
            session.execute(f'grant create on database closed to "{user.name}"')
        with log_in(place, "postgres", root.password, "closed") as session:
            session.execute(f'create schema s authorization "{user.name}"')
            session.execute("update pg_database set datallowconn = false where datname = 'closed'")
        with pytest.raises(GuestFailed) as refusal:
            driver.delete_user(user.name, "%")
        assert "cannot be dropped because some objects depend on it" in refusal.value.message
        assert "drop role" not in refusal.value.message.lower()
        # He is still there for the tenant to see, and can be deleted when the obstacle is gone.
        assert user.name in [each.name for each in driver.list_users()]
        with log_in(place, "postgres", root.password, "postgres") as session:
            session.execute("update pg_database set datallowconn = true where datname = 'closed'")
        driver.delete_user(user.name, "%")
        driver.delete_database("closed")
