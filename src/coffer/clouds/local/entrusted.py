"""What an agent is entrusted with besides its `guest.json`: its credentials, and how it is set up.

Both belong to the control plane's user and are closed to everybody else, as `guest.json` is. The cloud lays the
credentials down and reads nothing in them; from then on they are the agent's, which replaces them when it is given
others. `agent.conf` holds no secret and is written anew before every start of an agent, so that what the operator has
changed reaches it then.
"""

from pathlib import Path

from coffer.clouds.local.guest_config import replace_file

CREDENTIALS_NAME = "credentials.json"
SETTINGS_NAME = "agent.conf"


def has_credentials(guest_dir: Path) -> bool:
    """Return whether the agent of an instance can prove itself."""
    return (guest_dir / CREDENTIALS_NAME).exists()


def is_entrusted_with(guest_dir: Path, credentials: str) -> bool:
    """Return whether it has these credentials already.

    Raises:
        OSError: they cannot be read.
    """
    return _text(guest_dir / CREDENTIALS_NAME) == credentials


def lay_credentials(guest_dir: Path, credentials: str) -> None:
    """Give the next agent of an instance these credentials.

    Raises:
        OSError: they could not be written; older ones are unharmed.
    """
    replace_file(guest_dir / CREDENTIALS_NAME, credentials)


def take_credentials(guest_dir: Path) -> None:
    """Leave the next agent of an instance without credentials.

    Raises:
        OSError: they are still there.
    """
    (guest_dir / CREDENTIALS_NAME).unlink(missing_ok=True)


def lay_settings(guest_dir: Path, settings: str) -> None:
    """Tell the next agent of an instance how it is set up.

    Raises:
        OSError: it could not be written; an older file is unharmed.
    """
    path = guest_dir / SETTINGS_NAME
    if _text(path) != settings:
        replace_file(path, settings)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
