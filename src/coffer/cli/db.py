"""`coffer db`: the schema of the databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from coffer.cli.databases import ConfigFiles, collector_url, config_files_option, control_url
from coffer.cli.state_dir import state_dir_option
from coffer.collector import migrate as collector_migrate
from coffer.collector.database import CollectorDatabaseError, Database
from coffer.store import migrate
from coffer.store.errors import StoreError


@click.group(short_help="Look after the database schema.")
def db() -> None:
    """Look after the schema of the control plane's database and of the collector's."""


@db.command()
@state_dir_option
@config_files_option
@click.option(
    "--only",
    type=click.Choice(["control", "collector"]),
    help="Only the control plane's database, or only the collector's, where they are two hosts' business.",
)
def upgrade(state_dir: Path, config_files: ConfigFiles, only: str | None) -> None:
    """Bring the databases to the schema of this version; nothing happens where they have it already.

    Separate services need it before they start; a standalone control plane does it by itself.

    Exit codes: 0 done, 1 it failed, 2 the command line is wrong.
    """
    if only != "collector":
        url = control_url(state_dir, config_files)
        with _failing_in_a_sentence():
            was_current = migrate.is_current(url)
            migrate.upgrade(url)
        _say("control plane", was_current=was_current)
    if only != "control":
        database = Database(collector_url(state_dir, config_files))
        try:
            with _failing_in_a_sentence():
                was_current = collector_migrate.is_current(database)
                collector_migrate.upgrade(database)
        finally:
            database.close()
        _say("collector", was_current=was_current)


def _say(which: str, *, was_current: bool) -> None:
    state = "had the schema of this version already" if was_current else "now has the schema of this version"
    click.echo(f"The {which}'s database {state}.")


@contextmanager
def _failing_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (StoreError, CollectorDatabaseError, ValueError) as error:
        raise click.ClickException(str(error)) from error
