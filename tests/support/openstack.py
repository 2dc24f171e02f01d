"""The `openstack database` commands as a tenant types them, python-troveclient's plug-in as it comes."""

import atexit
import functools
import json
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SHELL = Path(__file__).with_name("openstack_shell.py")
COMMAND_S = 120.0
"""The first of a process has the client imported."""


class CommandFailed(Exception):  # noqa: N818 — what it says
    """The command ended with another status than 0; the text is what it said."""


class _Shell:
    """A process that runs commands, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", str(_SHELL)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        atexit.register(self.close)

    def run(self, words: list[str]) -> tuple[int, str, str]:
        """Return the status of a command, what it printed, and what it complained of."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], COMMAND_S)
        assert ready, f"`openstack {' '.join(words)}` took more than {COMMAND_S} s"
        line = self._process.stdout.readline()
        assert line, "the process that runs `openstack` has ended"
        status, printed, complained = json.loads(line)
        return status, printed, complained

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@functools.cache
def _shell() -> _Shell:
    return _Shell()


@dataclass(frozen=True, slots=True)
class OpenStack:
    """The command line of one project: without Keystone, unless there is something to log in with."""

    url: str = ""
    project: str = "acme"
    login: tuple[str, ...] = field(default=(), repr=False)
    """Options; with them the catalogue of services says where the API is."""

    def run(self, *words: str) -> str:
        """Run `openstack database WORDS` and return what it printed.

        Raises:
            CommandFailed: with what it said.
        """
        without = ("--os-auth-type=none", f"--os-endpoint={self.url}/v1.0/{self.project}")
        status, printed, complained = _shell().run([*(self.login or without), "database", *words])
        if status != 0:
            raise CommandFailed(printed + complained)  # deletions print why they failed
        return printed

    def read(self, *words: str) -> Any:
        """Run a command that shows something, and return it."""
        return json.loads(self.run(*words, "-f", "json"))

    def refused(self, *words: str) -> str:
        """Run a command that must fail, and return what it said."""
        try:
            printed = self.run(*words)
        except CommandFailed as refusal:
            return str(refusal)
        raise AssertionError(f"{' '.join(words)} was not refused, and printed {printed}")
