"""The unmodified `openstack database` client, as a tenant runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TIMEOUT_S = 60


class Client:
    """Runs `openstack database …` for one project and tells what it runs."""

    def __init__(self, endpoint: str, tell: Callable[[str], None]) -> None:
        """Talk to `endpoint` (it ends in the project's id), without Keystone."""
        self.endpoint = endpoint
        self._openstack = str(Path(sys.executable).with_name("openstack"))
        keep = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        self._environment = {**keep, "OS_AUTH_TYPE": "none", "OS_ENDPOINT": endpoint}
        self._tell = tell

    def run(self, *words: str, secret: str | None = None, fails: bool = False) -> str:
        """Run a command and return what it printed; `secret` is masked in what we tell.

        `fails` says that the command must be refused; then its message is returned.
        """
        shown = " ".join(word.replace(secret, "***") if secret else word for word in words)
        self._tell(f"$ openstack database {shown}")
        done = subprocess.run(
            [self._openstack, "database", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if fails == (done.returncode == 0):
            sys.exit(f"unexpected answer ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stderr.strip() if fails else done.stdout
