"""What can change of a user on a real PostgreSQL: where he may work, his name, his password; and the superuser."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.support.tenants import log_in, write_and_read

from coffer.catalogue.errors import BadRequest, CofferError, NotFound, UserExists
from coffer.datastores.driver import DatabaseSpec, Place, UserChanges, UserSpec
from coffer.datastores.postgresql.driver import PostgresqlDriver

Served = tuple[Place, PostgresqlDriver]

PASSWORD = "pä'ss\"; \\ %s"
AWKWARD = 'o\'brien "x"; drop role os_admin; --'
IMPOSSIBLE = ["", " lead", "nul\0l", "x" * 64, "ü" * 32, "\ud800", "pg_x", "os_admin", "postgres"]


@contextmanager
def database(driver: PostgresqlDriver, name: str | None = None) -> Iterator[str]:
    found = name or f"db-{uuid.uuid4()}"
    driver.create_database(DatabaseSpec(found))
    yield found
    driver.delete_database(found)


@contextmanager
def user(driver: PostgresqlDriver, *databases: str, name: str | None = None) -> Iterator[str]:
    found = name or f"u-{uuid.uuid4()}"
    driver.create_user(UserSpec(found, PASSWORD, databases=databases))
    yield found
    for left in {each.name for each in driver.list_users()}:
        driver.delete_user(left, "%")


@contextmanager
def superuser(place: Place, driver: PostgresqlDriver) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    root = driver.enable_root(None)
    with log_in(place, root.name, root.password, "postgres") as session:
        yield session


def refused(place: Place, name: str, password: str, database_name: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refusal:
        log_in(place, name, password, database_name)
    return str(refusal.value)


def test_access_is_granted_used_and_taken_away_again(served: Served) -> None:
    place, driver = served
    with database(driver, AWKWARD) as awkward, database(driver) as other, user(driver, name=AWKWARD) as name:
        assert "permission denied" in refused(place, name, PASSWORD, awkward)
        driver.grant_access(name, "%", awkward)
        driver.grant_access(name, "%", other)
        driver.grant_access(name, "%", awkward)
        assert driver.list_access(name, "%") == sorted([awkward, other])
        assert write_and_read(place, name, PASSWORD, awkward) == 42

        driver.revoke_access(name, "%", awkward)

        assert driver.list_access(name, "%") == [other]
        assert "permission denied" in refused(place, name, PASSWORD, awkward)
        assert write_and_read(place, name, PASSWORD, other) == 42


def test_a_revocation_ends_the_users_sessions_in_that_database_only(served: Served) -> None:
    place, driver = served
    with database(driver) as lost, database(driver) as kept, user(driver, lost, kept) as name:
        write_and_read(place, name, PASSWORD, lost)
        with log_in(place, name, PASSWORD, lost) as inside, log_in(place, name, PASSWORD, kept) as elsewhere:
            driver.revoke_access(name, "%", lost)
            with pytest.raises(psycopg.OperationalError):
                inside.execute("select 1")
            assert elsewhere.execute("select 1").fetchone() == (1,)
        with superuser(place, driver), user(driver, lost) as heir:
            assert (
                write_and_read(place, heir, PASSWORD, lost) == 42
            )  # what he made is there, and in nobody's way


def test_access_of_what_is_not_there_is_not_found(served: Served) -> None:
    _, driver = served
    with database(driver) as there, user(driver) as name:
        for change in (driver.grant_access, driver.revoke_access):
            with pytest.raises(NotFound, match="User nobody"):
                change("nobody", "%", there)
            for impossible in ("nowhere", "postgres", "template1", *IMPOSSIBLE):
                with pytest.raises(NotFound, match="Database"):
                    change(name, "%", impossible)
            for impossible in IMPOSSIBLE:
                with pytest.raises(NotFound, match="User"):
                    change(impossible, "%", there)
            with pytest.raises(BadRequest, match="no host"):
                change(name, "10.0.0.1", there)
        with pytest.raises(NotFound, match=f"Access of user {name} to database {there}"):
            driver.revoke_access(name, "%", there)


def test_a_revocation_that_does_not_keep_the_user_out_is_no_success(served: Served) -> None:
    place, driver = served
    with database(driver) as name_of_database, user(driver, name_of_database) as name:
        with superuser(place, driver) as session:
            session.execute(f'alter role "{name}" superuser')
        with pytest.raises(BadRequest, match="superuser"):
            driver.revoke_access(name, "%", name_of_database)
        with superuser(place, driver) as session:
            session.execute(f'alter role "{name}" nosuperuser')


def test_a_renamed_user_keeps_password_access_and_what_he_owns(served: Served) -> None:
    place, driver = served
    with database(driver) as where, user(driver, where) as old:
        write_and_read(place, old, PASSWORD, where)
        driver.update_user(old, "%", UserChanges(name=AWKWARD))
        assert [each.name for each in driver.list_users()] == [AWKWARD]
        assert driver.list_access(AWKWARD, "%") == [where]
        assert write_and_read(place, AWKWARD, PASSWORD, where) == 42
        with log_in(place, AWKWARD, PASSWORD, where) as session:
            owned = "select count(*) from pg_tables where tableowner = current_user"
            assert session.execute(owned).fetchone() == (2,)
        refused(place, old, PASSWORD, where)


@pytest.mark.parametrize("new_name", [None, "other's"])
def test_only_the_new_password_lets_in(served: Served, new_name: str | None) -> None:
    place, driver = served
    with database(driver) as where, user(driver, where) as old:
        driver.update_user(old, "%", UserChanges(name=new_name, password="n'ew"))
        name = new_name or old
        assert write_and_read(place, name, "n'ew", where) == 42
        refused(place, name, PASSWORD, where)


def test_a_change_is_whole_or_not_at_all(served: Served) -> None:
    place, driver = served
    with database(driver) as where, user(driver, where) as name, user(driver) as taken:
        with pytest.raises(UserExists, match=taken):
            driver.update_user(name, "%", UserChanges(name=taken, password="new"))
        assert write_and_read(place, name, PASSWORD, where) == 42
        driver.update_user(name, "%", UserChanges(name=name, host="%"))
        assert name in [each.name for each in driver.list_users()]


@pytest.mark.parametrize("impossible", IMPOSSIBLE)
def test_a_name_that_cannot_be_is_refused_and_nobody_has_it(served: Served, impossible: str) -> None:
    _, driver = served
    with user(driver) as name:
        with pytest.raises(BadRequest):
            driver.update_user(name, "%", UserChanges(name=impossible))
        with pytest.raises(NotFound):
            driver.update_user(impossible, "%", UserChanges(name="fine"))
        assert [each.name for each in driver.list_users()] == [name]


def test_a_change_that_cannot_be_is_refused_without_quoting_a_password(served: Served) -> None:
    _, driver = served
    with user(driver) as name:
        for password in ("", "nul\0l", "x" * 513):
            with pytest.raises(BadRequest) as refusal:
                driver.update_user(name, "%", UserChanges(password=password))
            assert not password or password not in refusal.value.message
        for host, changes in (("h", UserChanges(name="x")), ("%", UserChanges(host="10.0.0.1"))):
            with pytest.raises(BadRequest, match="no host"):
                driver.update_user(name, host, changes)
        with pytest.raises(NotFound):
            driver.update_user("nobody", "%", UserChanges(password="x"))


def test_what_an_unfinished_creation_left_is_in_no_ones_way(served: Served) -> None:
    place, driver = served
    with superuser(place, driver) as session:
        session.execute("create role half")
        session.execute("comment on role half is 'coffer: not finished'")
    with user(driver) as name:
        driver.update_user(name, "%", UserChanges(name="half"))
        assert [each.name for each in driver.list_users()] == ["half"]


def test_a_changed_password_is_in_no_log_and_no_repr(served: Served) -> None:
    place, driver = served
    secret = f"canary-{uuid.uuid4()}"
    with user(driver) as name:
        changes = UserChanges(password=secret)
        driver.update_user(name, "%", changes)
        with pytest.raises(CofferError):
            driver.update_user("nobody", "%", changes)
        log = "".join(path.read_text() for path in (place.directory / "log").iterdir())
        for word in (secret, "SCRAM-SHA-256$"):
            assert word not in log + repr(changes)


def test_a_disabled_superuser_is_out_at_once_and_can_be_enabled_again(served: Served) -> None:
    place, driver = served
    root = driver.enable_root("root's own")
    with log_in(place, root.name, root.password, "postgres") as session:
        session.execute("create table if not exists made_by_root (n int)")
        driver.disable_root()
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    assert not driver.is_root_enabled()
    refused(place, root.name, root.password, "postgres")
    driver.disable_root()
    again = driver.enable_root(None)
    assert driver.is_root_enabled()
    with log_in(place, again.name, again.password, "postgres") as session:
        assert session.execute("show is_superuser").fetchone() == ("on",)
    driver.disable_root()
