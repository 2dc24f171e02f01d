"""Backups of real database servers as files, and back."""

from dataclasses import dataclass
from pathlib import Path

from coffer.datastores.driver import Archive, Driver


def never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class MadeArchive:
    """A backup that a driver made: where its bytes are, and its manifest."""

    path: Path
    manifest: bytes

    @property
    def archive(self) -> Archive:
        return Archive(name=self.path.name, open=lambda: self.path.open("rb"))


def back_up(driver: Driver, path: Path, *, parent: MadeArchive | None = None) -> MadeArchive:
    """Let a driver make a backup into a file."""
    with path.open("wb") as stream:
        manifest = driver.back_up(
            stream.write, parent_manifest=parent.manifest if parent else None, is_given_up=never
        )
    return MadeArchive(path, manifest)
