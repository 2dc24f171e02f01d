"""The `openstack database` commands as a tenant types them, python-troveclient's plug-in as it comes."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPENSTACK = str(Path(sys.executable).with_name("openstack"))
COMMAND_S = 60.0


class CommandFailed(Exception):  # noqa: N818 — what it says
    """The command ended with another status than 0; the text is what it said."""


@dataclass(frozen=True, slots=True)
class OpenStack:
    """The command line of one project, without Keystone."""

    url: str
    project: str = "acme"

    def run(self, *words: str) -> str:
        """Run `openstack database WORDS` and return what it printed.

        Raises:
            CommandFailed: with what it said.
        """
        done = subprocess.run(
            [
                OPENSTACK,
                "--os-auth-type=none",
                f"--os-endpoint={self.url}/v1.0/{self.project}",
                "database",
                *words,
            ],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise CommandFailed(done.stdout + done.stderr)  # deletions print why they failed
        return done.stdout

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
