"""`coffer guests`: the keys and the accounts by which control plane and guests know each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.cli.databases import ConfigFiles
from coffer.cli.output import Column, Fit, iso, print_json, print_table, printable, span

if TYPE_CHECKING:
    from coffer.main.guest_admin import Guest, GuestAdmin

_config_files = click.option(
    "--config-file",
    "config_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="The configuration file of the services; several: later ones win.",
)
_EXIT = (
    "Exit codes: 0 all is well, 1 it failed or something is wrong (it is named), 2 the command line is wrong."
)


@click.group(short_help="Look after the keys and accounts of guest agents.")
def guests() -> None:
    """Look after the keys and the broker accounts of guest agents.

    Where RPC is on RabbitMQ, guests are strangers: each proves itself with a key of its own and, where [guests]
    broker_management_url is set, logs in to the broker with an account of its own. All that is made with an instance
    and removed with it; these commands are for looking at it and for changing it from time to time.
    """


@guests.command("new-secret", short_help="Print a new secret for [guests] secrets.")
def new_secret() -> None:
    """Print a new random secret for the option `secrets` of the group [guests].

    It protects the guests' keys in the database. Give the same to every service. To change it later:

    \b
    1. Everywhere: secrets = OLD,NEW   and restart the services: all can read the new one.
    2. Everywhere: secrets = NEW,OLD   and restart the services: the new one is used.
    3. Run: coffer guests rewrap       Every key is under the new one now.
    4. Everywhere: secrets = NEW
    """  # noqa: D301 - click's mark for lines that stay as they are
    from coffer.lifecycle.guest_channels import new_secret as made

    click.echo(made())


@guests.command("list", short_help="Show every guest's key and account.", epilog=_EXIT)
@_config_files
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def list_(ctx: click.Context, config_files: ConfigFiles, format_: str) -> None:
    """Show every guest: its key and since when it has it, its account at the broker, when it was heard.

    No key and no password is shown.
    """
    with _administration(config_files) as admin:
        found, trouble = admin.guests()
    problems = [problem for each in found if (problem := each.problem)]
    if trouble is not None:
        problems.append(f"The accounts are not known: {trouble}.")
    if format_ == "json":
        print_json({"guests": [_as_json(each) for each in found], "problems": problems})
    else:
        _print_table(found)
        for problem in problems:
            click.echo(printable(problem), err=True)
    ctx.exit(1 if problems else 0)


@guests.command("rotate", short_help="Give guests another key and password.", epilog=_EXIT)
@click.argument("instance", required=False)
@click.option("--all", "is_for_all", is_flag=True, help="Every guest, one after the other.")
@_config_files
@click.pass_context
def rotate(ctx: click.Context, instance: str | None, config_files: ConfigFiles, *, is_for_all: bool) -> None:
    """Give the guest of INSTANCE another key, and another password at the broker, while it goes on serving.

    The guest is told under the key that it has. Until its first message under the new one both are valid, so nothing is
    lost if it is away or this command is cut short: run it again. Afterwards the old ones open nothing any more.
    """
    if (instance is None) != is_for_all:
        raise click.UsageError("Name an INSTANCE, or say --all.")
    from coffer.taskmanager.rotation import RotationFailedError

    failed = 0
    with _administration(config_files) as admin:
        wanted = admin.channels.enrolled() if instance is None else [instance]
        for each in wanted:
            try:
                key_id = admin.rotation.rotate(each)
            except RotationFailedError as error:
                failed += 1
                click.echo(f"{printable(each)} not rotated: {printable(str(error))}", err=True)
            else:
                click.echo(f"{each} has key {key_id} now.")
    ctx.exit(1 if failed else 0)


@guests.command("enrol-again", short_help="Give guests that are not understood another key.", epilog=_EXIT)
@click.argument("instance", required=False)
@click.option("--all", "is_for_all", is_flag=True, help="Every guest.")
@_config_files
@click.pass_context
def enrol_again(
    ctx: click.Context, instance: str | None, config_files: ConfigFiles, *, is_for_all: bool
) -> None:
    """Have the guest of INSTANCE given another key and password by its taskmanager, on the disk of its machine.

    For guests that cannot be told by `rotate`: after the database was restored from a backup, or `channel.json` was
    lost. The key that a guest has opens nothing from now on. Within a minute the taskmanager gives it another and
    starts its agent anew; the database server goes on. What the guest was told and has not begun is not done any more.
    """
    if (instance is None) != is_for_all:
        raise click.UsageError("Name an INSTANCE, or say --all.")
    failed = 0
    with _administration(config_files) as admin:
        for each in admin.enrollable() if instance is None else [instance]:
            if admin.enrol_again(each):
                click.echo(f"{each} is given another key by its taskmanager within a minute.")
            else:
                failed += 1
                click.echo(f"{printable(each)} is no instance, or is being made or removed.", err=True)
    ctx.exit(1 if failed else 0)


@guests.command("rewrap", short_help="Protect every key with the newest secret.", epilog=_EXIT)
@_config_files
def rewrap(config_files: ConfigFiles) -> None:
    """Wrap every key in the database under the first of [guests] secrets.

    The other secrets can then be taken out of the configuration. The guests notice nothing.
    """
    with _administration(config_files) as admin:
        count = admin.channels.rewrap()
    click.echo(f"{count} keys are protected by the first of the secrets now.")


@contextmanager
def _administration(config_files: ConfigFiles) -> Iterator["GuestAdmin"]:
    from coffer.main.guest_admin import administration
    from coffer.main.settings import SettingsError
    from coffer.store.errors import StoreError
    from coffer.wire.sealed.book import BookUnavailableError

    try:
        with administration(config_files) as admin:
            yield admin
    except (SettingsError, StoreError, BookUnavailableError) as error:
        raise click.ClickException(f"{error}.") from error


def _as_json(guest: "Guest") -> dict[str, object]:
    return {
        "instance_id": guest.instance_id,
        "name": guest.name,
        "state": guest.state,
        "seen_at": guest.seen_at and iso(guest.seen_at),
        "account": guest.account.value,
        "key_id": guest.key_id,
        "key_since": guest.key_since and iso(guest.key_since),
        "is_rotating": guest.is_rotating,
        "received": guest.received,
    }


def _print_table(found: list["Guest"]) -> None:
    now = datetime.now(UTC)

    def ago(moment: datetime | None) -> str:
        return "" if moment is None else f"{span(max((now - moment).total_seconds(), 0.0))} ago"

    print_table(
        [
            Column("INSTANCE"),
            Column("NAME", fit=Fit.CUT),
            Column("STATE"),
            Column("HEARD"),
            Column("ACCOUNT"),
            Column("KEY", is_number=True),
            Column("SINCE"),
            Column("MESSAGES", is_number=True),
        ],
        [
            (
                each.instance_id,
                each.name,
                each.state,
                ago(each.seen_at),
                each.account.value,
                "none" if each.key_id is None else f"{each.key_id}{' (offered)' if each.is_rotating else ''}",
                ago(each.key_since),
                str(each.received),
            )
            for each in found
        ],
        styles=["red" if each.problem else "" for each in found],
    )
