"""The port behind which backups lie: named objects that are there whole or not at all.

Knows neither the database nor the engines. An implementation raises `catalogue.errors.StorageFailed`, with a
reason written for the tenant, and logs for the operator what is no business of the tenant's (paths).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """What an object is: its size, and its checksum (SHA-256, hexadecimal)."""

    size_bytes: int
    checksum: str


class Upload(Protocol):
    """An object that is being written."""

    def write(self, chunk: bytes) -> None:
        """Append to it. Raises StorageFailed."""
        ...

    def stored(self) -> Stored:
        """Return what has been written so far."""
        ...


class ObjectStore(Protocol):
    """Keeps objects. A name is `FOLDER/OBJECT`, both of letters, digits, dots, dashes and underscores."""

    def writing(self, name: str) -> AbstractContextManager[Upload]:
        """Write an object: it is there, and safe from a power cut, when the block has ended well; else nothing is.

        Raises:
            StorageFailed: no space, no permission; or the folder was deleted meanwhile.
        """
        ...

    def reading(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read an object.

        Raises:
            StorageFailed: it is not there, or cannot be read.
        """
        ...

    def delete(self, folder: str) -> None:
        """Delete everything in a folder; idempotent.

        Raises:
            StorageFailed: something is left.
        """
        ...

    def folders(self) -> Sequence[str]:
        """Return the folders that are there, in order.

        Raises:
            StorageFailed: the storage cannot be read.
        """
        ...
