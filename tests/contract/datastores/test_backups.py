"""Backups of a real PostgreSQL: made while it serves, put together, verified, restored into another server."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.contract.datastores.conftest import VERSIONS
from tests.support import mounts
from tests.support.archives import back_up, never
from tests.support.ports import free_port
from tests.support.tenants import log_in, write_and_read

from coffer.catalogue.errors import BackupDamaged, GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Archive, DatabaseSpec, Place, UserSpec
from coffer.datastores.postgresql.driver import PostgresqlDriver

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]
USER = UserSpec("bob", "bob's", databases=("shop",))
needs_incremental = pytest.mark.skipif(
    not {"17", "18"} & set(VERSIONS), reason="no PostgreSQL with incremental backups on this machine"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def served(new_driver: NewDriver, **changes: object) -> tuple[Place, PostgresqlDriver]:
    place, driver = new_driver(**changes)
    driver.prepare([DatabaseSpec("shop")], [USER])
    return place, driver


def add(place: Place, word: str) -> None:
    with log_in(place, "bob", "bob's", "shop") as session:
        session.execute("create table if not exists words (word text)")
        session.execute("insert into words values (%s)", (word,))


def words(place: Place) -> list[str]:
    with log_in(place, "bob", "bob's", "shop") as session:
        return [word for (word,) in session.execute("select word from words order by word")]


def admin_of(place: Place) -> str:
    return (place.directory / "admin.secret").read_text()


def leftovers(place: Place) -> list[str]:
    """Return what a backup may not leave in the instance's directory."""
    return [
        path.name for path in place.directory.iterdir() if "backup" in path.name or "manifest" in path.name
    ]


@contextmanager
def superuser(place: Place, driver: PostgresqlDriver) -> Iterator[psycopg.Connection]:
    root = driver.enable_root(None)
    with log_in(place, root.name, root.password, "postgres") as session:
        yield session


@pytest.mark.parametrize("version", VERSIONS)
def test_a_full_backup_makes_another_server_with_the_same_data_and_users(
    new_driver: NewDriver, tmp_path: Path, version: str
) -> None:
    source, driver = served(new_driver, version=version)
    add(source, "before")
    made = back_up(driver, tmp_path / "full")
    add(source, "after")
    target, copy = new_driver(version=version, port=free_port())
    copy.restore([made.archive], is_given_up=never)
    copy.prepare(
        [DatabaseSpec("shop"), DatabaseSpec("more")], [UserSpec("eve", "eve's", databases=("more",))]
    )
    assert words(target) == ["before"]
    assert copy.list_databases() == ["more", "shop"]
    assert [user.name for user in copy.list_users()] == ["bob", "eve"]
    write_and_read(target, "eve", "eve's", "more")
    assert words(source) == ["after", "before"]
    assert driver.status() is copy.status() is ServiceStatus.HEALTHY
    assert not (target.directory / "restore").exists()
    assert admin_of(source) != admin_of(target)
    copy.restart()
    assert words(target) == ["before"]


@needs_incremental
def test_incremental_backups_are_small_and_restored_as_a_chain(new_driver: NewDriver, tmp_path: Path) -> None:
    source, driver = served(new_driver)
    add(source, "1 full")
    full = back_up(driver, tmp_path / "full")
    add(source, "2 first")
    first = back_up(driver, tmp_path / "first", parent=full)
    add(source, "3 second")
    second = back_up(driver, tmp_path / "second", parent=first)
    assert second.path.stat().st_size < full.path.stat().st_size / 3
    assert json.loads(full.manifest)["PostgreSQL-Backup-Manifest-Version"]
    target, copy = new_driver(port=free_port())
    copy.restore([each.archive for each in (full, first, second)], is_given_up=never)
    copy.prepare([], [])
    assert words(target) == ["1 full", "2 first", "3 second"]
    back_up(copy, tmp_path / "of the copy")


@needs_incremental
def test_backups_that_do_not_belong_together_are_damaged(new_driver: NewDriver, tmp_path: Path) -> None:
    source, driver = served(new_driver)
    full = back_up(driver, tmp_path / "full")
    first = back_up(driver, tmp_path / "first", parent=full)
    second = back_up(driver, tmp_path / "second", parent=first)
    target, copy = new_driver(port=free_port())
    with pytest.raises(BackupDamaged, match="Backup second is damaged: the backups that it builds on"):
        copy.restore([full.archive, second.archive], is_given_up=never)
    assert not list(target.directory.glob("restore*"))
    assert copy.status() is ServiceStatus.NEW
    assert source.directory != target.directory


def test_an_archive_that_was_cut_off_is_damaged(new_driver: NewDriver, tmp_path: Path) -> None:
    _, driver = served(new_driver)
    made = back_up(driver, tmp_path / "full")
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[: len(whole) // 2])
    _, copy = new_driver(port=free_port())
    with pytest.raises(BackupDamaged, match="cannot be unpacked"):
        copy.restore([made.archive], is_given_up=never)


def test_files_that_differ_from_the_manifest_are_found(new_driver: NewDriver, tmp_path: Path) -> None:
    _, driver = served(new_driver)
    made = back_up(driver, tmp_path / "full")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xzf", str(made.path), "-C", str(unpacked)], check=True)
    file = max((unpacked / "base").glob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with tarfile.open(tmp_path / "other", "w:gz") as archive:
        archive.add(unpacked, ".")
    _, copy = new_driver(port=free_port())
    other = Archive(name="other", open=lambda: (tmp_path / "other").open("rb"))
    with pytest.raises(BackupDamaged, match="its files are not those that were copied"):
        copy.restore([other], is_given_up=never)


def test_a_superuser_of_the_source_does_not_keep_the_administrator_out_of_the_copy(
    new_driver: NewDriver, tmp_path: Path
) -> None:
    source, driver = served(new_driver)
    add(source, "kept")
    with superuser(source, driver) as session:
        session.execute("alter role os_admin nologin valid until '2001-01-01'")
        session.execute("alter system set log_connections = on")
        session.execute("alter role os_admin login valid until 'infinity'")
    made = back_up(driver, tmp_path / "full")
    with superuser(source, driver) as session:
        session.execute("alter role os_admin nologin")
    target, copy = new_driver(port=free_port())
    copy.restore([made.archive], is_given_up=never)
    copy.prepare([], [])
    assert words(target) == ["kept"]


def test_a_server_that_is_down_cannot_be_backed_up(new_driver: NewDriver, tmp_path: Path) -> None:
    place, driver = served(new_driver)
    driver.stop()
    with pytest.raises(GuestFailed, match="is not running"):
        back_up(driver, tmp_path / "full")
    assert leftovers(place) == []


def test_a_backup_that_is_given_up_leaves_nothing_running(new_driver: NewDriver, tmp_path: Path) -> None:
    place, driver = served(new_driver)
    with (
        (tmp_path / "full").open("wb") as stream,
        pytest.raises(GuestFailed, match="was stopped in the middle"),
    ):
        driver.back_up(stream.write, parent_manifest=None, is_given_up=lambda: stream.tell() > 0)
    assert leftovers(place) == []
    back_up(driver, tmp_path / "again")


def test_what_the_sink_says_is_told_and_the_server_goes_on(new_driver: NewDriver) -> None:
    place, driver = served(new_driver)

    def full(_chunk: bytes) -> None:
        raise GuestFailed(reason="The sink is full.")

    with pytest.raises(GuestFailed, match="The sink is full"):
        driver.back_up(full, parent_manifest=None, is_given_up=never)
    assert leftovers(place) == []
    assert driver.status() is ServiceStatus.HEALTHY


@as_root
def test_a_restoration_into_too_little_space_says_so(new_driver: NewDriver, tmp_path: Path) -> None:
    _, driver = served(new_driver)
    made = back_up(driver, tmp_path / "full")
    target, copy = new_driver(port=free_port())
    mounts.mount_tmpfs(target.directory, "size=20m,mode=0711")
    try:
        with pytest.raises(GuestFailed, match="no space is left") as caught:
            copy.restore([made.archive], is_given_up=never)
        assert not isinstance(caught.value, BackupDamaged)
    finally:
        mounts.unmount(target.directory)


def test_a_restoration_leaves_the_reserve_of_the_disk_to_others(
    new_driver: NewDriver, tmp_path: Path
) -> None:
    place, driver = served(new_driver)
    made = back_up(driver, tmp_path / "full")
    engines = replace(place.engines, reserve_bytes=2 * shutil.disk_usage(tmp_path).free)
    target, copy = new_driver(port=free_port(), engines=engines)
    with pytest.raises(GuestFailed, match="no space is left on the machine"):
        copy.restore([made.archive], is_given_up=never)
    assert not (target.directory / "restore").exists()
    assert not (target.directory / "data" / "PG_VERSION").exists()


def test_the_archive_is_a_compressed_tar_whose_files_belong_to_nobody_else(
    new_driver: NewDriver, tmp_path: Path
) -> None:
    _, driver = served(new_driver)
    made = back_up(driver, tmp_path / "full")
    with gzip.open(made.path) as stream, tarfile.open(fileobj=stream) as archive:
        manifest = archive.extractfile("backup_manifest")
        assert manifest is not None
        assert manifest.read() == made.manifest
