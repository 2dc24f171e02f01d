"""Holds a server to the size of its volume, as far as that goes without a file system of its own.

The space that the instance uses is measured now and then. When it comes near the size of the volume, new
transactions become read-only by default; when there is room again, writable. A tenant who wants to make room can
`SET default_transaction_read_only = off`. So the limit is soft: what is written between two measurements goes
beyond it.
"""

import logging
import subprocess
import threading
from pathlib import Path
from typing import Final

from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.layout import Layout
from coffer.datastores.postgresql.process import ENVIRONMENT

LOG = logging.getLogger(__name__)

_GIB: Final = 2**30
_FULL: Final = 0.95
"""The share of the volume from which on the server is read-only."""
_ROOMY: Final = 0.90
"""The share below which it is writable again; lower, so that it does not go back and forth."""
_MEASURE_TIMEOUT_S: Final = 20.0
_FILE_NAME: Final = "zz-volume-full.conf"
"""Last in the alphabet, so that it comes after the files of configuration groups and counts."""
_TEXT: Final = """\
# Written by coffer: the volume is nearly full. Removed when there is room, or when the volume is larger.
default_transaction_read_only = on
"""


class Volume:
    """The volume of one server. What was decided lies in a file, so that whoever comes later goes on with it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()

    @property
    def is_read_only(self) -> bool:
        """Whether the server has been told to refuse writing."""
        return self._file.exists()

    def used_bytes(self) -> int | None:
        """Measure what the data and the log take up on the disk; None if that cannot be found out."""
        place = self._layout.place
        found = [str(path) for path in (self._layout.data_dir, self._layout.log_dir) if path.is_dir()]
        if not found:
            return 0
        try:
            # As the instance's user, who may nest directories deeper than a walk of ours would reach.
            done = subprocess.run(
                ["du", "-scxB1", "--", *found],
                capture_output=True,
                timeout=_MEASURE_TIMEOUT_S,
                check=False,
                cwd="/",
                env=dict(ENVIRONMENT),
                user=place.uid,
                group=place.uid if place.gid is None else place.gid,
                extra_groups=None if place.uid is None else (),
            )
            # Files that vanish while it looks make it complain, and it sums up nevertheless.
            return int(done.stdout.splitlines()[-1].split()[0])
        except (OSError, subprocess.TimeoutExpired, IndexError, ValueError) as error:
            LOG.warning("volume not measured instance_id=%s reason=%r", place.instance_id, error)
            return None

    def keep(self, used_bytes: int, volume_gib: int | None) -> None:
        """Make the server read-only or writable, as its volume is full or not; idempotent.

        Raises:
            OSError: the file that says so cannot be written or removed.
        """
        if not self._layout.conf_dir.is_dir():
            return
        share = 0.0 if volume_gib is None else used_bytes / (volume_gib * _GIB)
        with self._lock:
            is_read_only = self.is_read_only
            if share >= _FULL and not is_read_only:
                self._layout.write_conf(f"conf.d/{_FILE_NAME}", _TEXT)
            elif share < _ROOMY and is_read_only:
                self._file.unlink(missing_ok=True)
            else:
                return
            process.reload(self._layout)
        LOG.warning(
            "volume changed instance_id=%s read_only=%s used_bytes=%d volume_gib=%s",
            self._layout.place.instance_id,
            not is_read_only,
            used_bytes,
            volume_gib,
        )

    @property
    def _file(self) -> Path:
        return self._layout.conf_dir / "conf.d" / _FILE_NAME
