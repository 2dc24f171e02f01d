"""Where a standalone control plane keeps everything, and the option that names it."""

import os
from pathlib import Path

import click

CONTROL_DATABASE = "coffer.db"
COLLECTOR_DATABASE = "collector.db"


def default_state_dir() -> Path:
    """`$XDG_STATE_HOME/coffer`, which is `~/.local/state/coffer` where nobody says otherwise."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "coffer"


state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="COFFER_STATE_DIR",
    default=default_state_dir,
    show_default="$COFFER_STATE_DIR, else $XDG_STATE_HOME/coffer, else ~/.local/state/coffer",
    help="The directory of a standalone control plane.",
)


def existing_file(state_dir: Path, name: str) -> Path:
    """The path of a file that a control plane keeps in `state_dir`.

    Raises:
        click.ClickException: if it is not there.
    """
    path = state_dir / name
    try:
        if path.is_file():
            return path
        reason = "has no such file" if state_dir.is_dir() else "does not exist"
    except PermissionError:
        reason = "may not be read"
    raise click.ClickException(
        f"{state_dir} {reason}; name the directory of a control plane with --state-dir (looked for {name})."
    )
