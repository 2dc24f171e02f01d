"""The guest's own book of its channel: the keys from its credentials, and the numbers in `channel.json` beside them.

Numbers to send are taken from the file in blocks, so that an agent that is killed skips some and repeats none. What
comes in is noted before it is acted on.
"""

import hashlib
import json
import logging
import threading
from pathlib import Path
from typing import Final

from coffer.clouds.local.guest_config import replace_file
from coffer.wire.sealed.book import BookUnavailableError, NoChannelError, Outgoing
from coffer.wire.sealed.credentials import FILE_NAME, Credentials
from coffer.wire.sealed.window import Window

LOG = logging.getLogger(__name__)

NUMBERS_NAME: Final = "channel.json"
_BLOCK: Final = 64
_SKIPPED: Final = 1024
"""Of the numbers to send, at each start: a machine that lost its power may have lost the last blocks with it."""


class GuestBook:
    """A `ChannelBook` of one instance, in the instance's directory; one agent at a time uses it."""

    def __init__(self, guest_dir: Path) -> None:
        """Read what an earlier agent left.

        Raises:
            OSError: there are no credentials that can be read.
            CredentialsInvalid: they are none.
            BookUnavailableError: the numbers cannot be read. To begin anew would be to believe old messages again.
        """
        self._guest_dir = guest_dir
        self._lock = threading.Lock()
        self._credentials = Credentials.from_json((guest_dir / FILE_NAME).read_bytes())
        reserved, self._windows = _read(guest_dir / NUMBERS_NAME)
        self._sent = self._reserved = reserved + _SKIPPED if reserved else 0

    @property
    def credentials(self) -> Credentials:
        """What the agent proves itself with."""
        return self._credentials

    def renew(self, credentials: Credentials) -> None:
        """Keep other credentials, and use their keys from now on.

        Raises:
            BookUnavailableError: they cannot be written; those before are still used.
        """
        with self._lock:
            try:
                replace_file(self._guest_dir / FILE_NAME, credentials.to_json())
            except OSError as error:
                raise BookUnavailableError(str(error)) from error
            self._credentials = credentials

    def outgoing(self, instance_id: str) -> Outgoing:
        """See `ChannelBook`."""
        with self._lock:
            if instance_id != self._credentials.instance_id:
                raise NoChannelError(f"instance {instance_id} is somebody else")
            if self._sent == self._reserved:
                self._keep(self._reserved + _BLOCK, self._windows)
            self._sent += 1
            key_id = max(self._credentials.keys)
            return Outgoing(key_id, self._credentials.keys[key_id], self._sent)

    def key(self, instance_id: str, key_id: int) -> bytes | None:
        """See `ChannelBook`."""
        with self._lock:
            is_ours = instance_id == self._credentials.instance_id
            return self._credentials.keys.get(key_id) if is_ours else None

    def accept(self, instance_id: str, key_id: int, number: int) -> bool:
        """See `ChannelBook`."""
        with self._lock:
            if instance_id != self._credentials.instance_id or key_id not in self._credentials.keys:
                return False
            names = {each: _name(each, key) for each, key in self._credentials.keys.items()}
            window = self._windows.get(names[key_id], Window()).accept(number)
            if window is None:
                return False
            known = {each: kept for each, kept in self._windows.items() if each in names.values()}
            self._keep(self._reserved, {**known, names[key_id]: window})
            return True

    def _keep(self, reserved: int, windows: dict[str, Window]) -> None:
        kept = {
            "reserved": reserved,
            "windows": {name: [each.highest, each.to_text()] for name, each in windows.items()},
        }
        try:
            replace_file(self._guest_dir / NUMBERS_NAME, json.dumps(kept) + "\n")
        except OSError as error:
            raise BookUnavailableError(f"the numbers cannot be kept: {error}") from error
        self._reserved, self._windows = reserved, windows


def _name(key_id: int, key: bytes) -> str:
    """Return what a key's window is kept under: a control plane that lost its book gives the ids of keys anew."""
    return f"{key_id}.{hashlib.sha256(key).hexdigest()[:16]}"


def _read(path: Path) -> tuple[int, dict[str, Window]]:
    try:
        kept = json.loads(path.read_bytes())
        windows = {str(name): Window.from_text(*each) for name, each in kept["windows"].items()}
        return int(kept["reserved"]), windows
    except FileNotFoundError:
        return 0, {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BookUnavailableError(f"{path} cannot be read: {type(error).__name__}") from error
