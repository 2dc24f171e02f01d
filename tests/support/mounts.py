"""File systems of a test's own, small or read-only, where the machine lets us mount them."""

import subprocess
from pathlib import Path

import pytest


def mount_tmpfs(path: Path, options: str) -> None:
    """Mount an empty file system in memory over a directory.

    Raises:
        pytest.skip.Exception: if this machine lets nobody mount (a container without the right, or no root).
    """
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")


def unmount(path: Path) -> None:
    """Take a file system away again."""
    subprocess.run(["umount", str(path)], check=True)


def unmount_below(directory: Path) -> None:
    """Take away everything that is mounted below a directory."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in points:
        if point.startswith(f"{directory}/"):
            unmount(Path(point))
