"""Catches the manifest in the stream of a backup, on its way to somebody else; pure.

The server's stream is a tar archive, whose last file is the manifest: the list of all other files. The next
incremental backup needs it, and nobody wants to read the whole archive again for it.
"""

from typing import Final

NAME: Final = "backup_manifest"

_BLOCK: Final = 512
_NAME_BYTES: Final = 100
_SIZE: Final = slice(124, 136)
_IS_BINARY: Final = 0x80
_LIMIT_BYTES: Final = 512 * 2**20


class ManifestCatcher:
    """Takes the archive in chunks of any size; `manifest` is there when it has passed."""

    def __init__(self) -> None:
        """Begin in front of the archive's first header."""
        self._header = b""
        self._left_bytes = 0
        """Of the present file, with what fills up its last block."""
        self._wanted_bytes = 0
        """Of the manifest, still to come."""
        self._caught: list[bytes] = []

    @property
    def manifest(self) -> bytes | None:
        """The manifest, None if it has not passed as a whole."""
        return b"".join(self._caught) if self._caught and not self._wanted_bytes else None

    def feed(self, chunk: bytes) -> None:
        """Take the next piece.

        Raises:
            ValueError: it is no tar archive.
        """
        position = 0
        while position < len(chunk):
            if self._left_bytes:
                position += self._pass(chunk, position)
            else:
                taken = chunk[position : position + _BLOCK - len(self._header)]
                self._header += taken
                position += len(taken)
                if len(self._header) == _BLOCK:
                    self._open(self._header)
                    self._header = b""

    def _pass(self, chunk: bytes, position: int) -> int:
        """Let a piece of the present file pass; return how much of it."""
        count = min(self._left_bytes, len(chunk) - position)
        wanted = min(self._wanted_bytes, count)
        if wanted:
            self._caught.append(chunk[position : position + wanted])
            self._wanted_bytes -= wanted
        self._left_bytes -= count
        return count

    def _open(self, header: bytes) -> None:
        if not any(header):
            return  # the end of the archive is made of empty blocks
        size_bytes = _number(header[_SIZE])
        self._left_bytes = -(-size_bytes // _BLOCK) * _BLOCK
        if header[:_NAME_BYTES].rstrip(b"\0").decode(errors="replace") == NAME:
            if size_bytes > _LIMIT_BYTES:
                raise ValueError("the manifest is too large")
            self._caught, self._wanted_bytes = [], size_bytes


def _number(field: bytes) -> int:
    """Read a number of a header: octal digits, or where those do not suffice, binary."""
    if field[0] & _IS_BINARY:
        return int.from_bytes(bytes([field[0] & ~_IS_BINARY]) + field[1:], "big")
    return int(field.rstrip(b"\0 ") or b"0", 8)
