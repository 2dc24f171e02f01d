"""A wall clock that we can set, for processes that we start: libfaketime, with a file that says how wrong it is.

Only the wall clock moves; the monotonic one goes on, as when an operator or NTP sets the clock of a machine.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.support.laboratory.cable import Impossible


class WrongClock:
    """The clock of one machine of the laboratory."""

    def __init__(self, file: Path) -> None:
        """Keep in `file` how wrong it is; right at first.

        Raises:
            Impossible: if libfaketime is not installed.
        """
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise Impossible("libfaketime is not installed (apt: libfaketime)")
        self._library = found[0]
        self._file = file
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """What puts a process under this clock, and all that it starts."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    def set(self, offset_s: int) -> None:
        """Make it wrong by so much from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self._file)
