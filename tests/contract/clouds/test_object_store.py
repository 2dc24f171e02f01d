"""The object store on a directory: whole objects or none, and reasons without paths."""

import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest
from tests.support import mounts

from coffer.catalogue.errors import StorageFailed
from coffer.clouds.local.object_store import DirectoryStore
from coffer.clouds.object_store import ObjectStore

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
CONTENT = b"precious" * 100_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def store(root: Path) -> ObjectStore:
    return DirectoryStore(root)


def put(store: ObjectStore, name: str, content: bytes = CONTENT) -> None:
    with store.writing(name) as upload:
        for start in range(0, len(content), 65_000):
            upload.write(content[start : start + 65_000])


def read(store: ObjectStore, name: str) -> bytes:
    with store.reading(name) as stream:
        return stream.read()


def test_what_was_written_is_read_and_known_by_size_and_checksum(store: ObjectStore, root: Path) -> None:
    with store.writing("one/archive") as upload:
        upload.write(CONTENT)
        assert list(root.glob("one/[!.]*")) == []
    assert upload.stored().size_bytes == len(CONTENT)
    assert upload.stored().checksum == hashlib.sha256(CONTENT).hexdigest()
    assert read(store, "one/archive") == CONTENT
    assert [path.name for path in (root / "one").iterdir()] == ["archive"]
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "one" / "archive").stat().st_mode) == 0o600


def test_a_block_that_fails_leaves_what_was_there(store: ObjectStore, root: Path) -> None:
    put(store, "one/archive", b"old")

    def broken() -> None:
        with store.writing("one/archive") as upload:
            upload.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert read(store, "one/archive") == b"old"
    assert [path.name for path in (root / "one").iterdir()] == ["archive"]


def test_a_folder_that_was_deleted_meanwhile_does_not_come_back(store: ObjectStore, root: Path) -> None:
    def late() -> None:
        with store.writing("one/archive") as upload:
            upload.write(b"late")
            store.delete("one")

    with pytest.raises(StorageFailed):
        late()
    assert store.folders() == []
    assert list(root.iterdir()) == []


def test_deleting_takes_a_folder_and_may_be_done_again(store: ObjectStore) -> None:
    assert store.folders() == []
    for name in ("one/archive", "one/manifest", "two/archive"):
        put(store, name, b"x")
    assert store.folders() == ["one", "two"]
    store.delete("one")
    store.delete("one")
    assert store.folders() == ["two"]
    with pytest.raises(StorageFailed, match="the backup is not in it"), store.reading("one/archive"):
        pass


@pytest.mark.parametrize(
    "name", ["archive", "../archive", "one/../archive", "one/.hidden", "/etc/passwd", "one/a/b", ""]
)
def test_a_name_that_leads_elsewhere_is_none(store: ObjectStore, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"), store.writing(name):
        pass
    with pytest.raises(ValueError, match="cannot be the name"), store.reading(name):
        pass


@as_root
def test_a_full_disk_is_told_and_leaves_nothing(store: ObjectStore, root: Path) -> None:
    root.mkdir()
    mounts.mount_tmpfs(root, "size=64k,mode=0700")
    try:
        with pytest.raises(StorageFailed, match="no space is left in it") as caught:
            put(store, "one/archive")
        assert str(root) not in str(caught.value)
        assert not any((root / "one").iterdir())
        put(store, "one/archive", b"small")
    finally:
        mounts.unmount(root)


def test_a_backup_leaves_the_reserve_of_the_disk_to_others(root: Path) -> None:
    store = DirectoryStore(root, reserve_bytes=shutil.disk_usage(root.parent).free * 2)
    with pytest.raises(StorageFailed, match="no space is left in it"):
        put(store, "one/archive", b"small")
    assert not any((root / "one").iterdir())


@as_root
def test_a_storage_that_cannot_be_written_is_told(store: ObjectStore, root: Path) -> None:
    root.mkdir()
    mounts.mount_tmpfs(root, "ro")
    try:
        with pytest.raises(StorageFailed, match="read-only file system"):
            put(store, "one/archive")
    finally:
        mounts.unmount(root)
