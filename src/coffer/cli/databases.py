"""Which databases the control plane and the collector have, for commands that work beside the services."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from coffer.cli.state_dir import COLLECTOR_DATABASE, CONTROL_DATABASE, existing_file

ConfigFiles = tuple[Path, ...]

config_files_option = click.option(
    "--config-file",
    "config_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A configuration file of separate services, in place of --state-dir; several: later ones win.",
)


def control_url(state_dir: Path, config_files: ConfigFiles) -> str:
    """The URL of the control plane's database.

    Raises:
        click.ClickException: if there is none.
    """
    if config_files:
        from coffer.main.settings import database_url

        with _configured():
            return database_url(config_files)
    return _sqlite_url(existing_file(state_dir, CONTROL_DATABASE))


def collector_url(state_dir: Path, config_files: ConfigFiles) -> str:
    """The URL of the collector's database.

    Raises:
        click.ClickException: if there is none.
    """
    if config_files:
        from coffer.main.settings import load, required

        with _configured():
            return required(load(config_files), "collector", "connection")
    return _sqlite_url(existing_file(state_dir, COLLECTOR_DATABASE))


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path.absolute()}"


@contextmanager
def _configured() -> Iterator[None]:
    from coffer.main.settings import SettingsError

    try:
        yield
    except SettingsError as error:
        raise click.ClickException(f"{error}.") from error
