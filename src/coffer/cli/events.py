"""`coffer events`: what was notified, as the collector has stored it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from coffer.cli.databases import ConfigFiles, collector_url, config_files_option
from coffer.cli.output import Column, Fit, clock_time, iso, print_table, printable, width
from coffer.cli.state_dir import state_dir_option
from coffer.cli.times import read_moment
from coffer.collector.database import CollectorDatabaseError, Database
from coffer.collector.events import StoredEvent
from coffer.collector.queries import Filter, count, count_dead_letters, find, last_id, newest, watch
from coffer.wire.json import JSON

ROWS_OF_A_TABLE = 500
"""A table for people shows no more than that, unless `--limit` asks for it."""

WIDE = 120
"""Columns of a terminal from which on the table shows dates and tenants too."""

_TOLD_ELSEWHERE = frozenset({"tenant_id", "request_id", "run_id", "instance_id", "client_ip", "server_ip"})
"""Facts that have a column of their own, or that few want to see on a screen."""

_OPTIONS = (
    state_dir_option,
    config_files_option,
    click.option("--tenant", "tenant_id", help="Only events of this project."),
    click.option("--request-id", help="Only events of this API call."),
    click.option("--run-id", help="Only events of this run."),
    click.option("--instance", "instance_id", help="Only events of this instance."),
    click.option(
        "--type",
        "event_type",
        metavar="GLOB",
        help="Only these types, for example 'dbaas.*.error' (quote the *).",
    ),
    click.option(
        "--since",
        callback=read_moment,
        help="Only what happened since then: 10m, 2h, 1d ago, or ISO 8601 (UTC).",
    ),
)


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(short_help="Show what was announced.")
def events() -> None:
    """Show what was announced, each event once, as the collector has stored it."""


@events.command("list")
@_filter_options
@click.option("--until", callback=read_moment, help="Only what happened before then.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "jsonl"]), default="table", show_default=True
)
def list_events(
    state_dir: Path, config_files: ConfigFiles, limit: int | None, format_: str, **wanted: Any
) -> None:
    """List events in the order of their arrival.

    The times are those at which the things happened, in UTC. A table shows the newest 500 if --limit does not
    say otherwise; json and jsonl (one object a line) give all.

    Exit codes: 0 done (also when there is none), 1 the events cannot be read, 2 the command line is wrong.
    """
    kind = Filter(**wanted)
    with _database(state_dir, config_files) as database, database.reading() as tx:
        if format_ == "table":
            found = newest(tx, kind, limit or ROWS_OF_A_TABLE)
            _print_table(found)
            older = count(tx, kind) - len(found)
            if older and not limit:
                click.echo(f"{older} older events are not shown; --limit shows more.", err=True)
            _mention_dead_letters(count_dead_letters(tx))
            return
        rows = newest(tx, kind, limit) if limit else find(tx, kind)
        if format_ == "jsonl":
            for event in rows:
                click.echo(_json_line(event))
        else:
            click.echo(json.dumps({"events": [_as_json(event) for event in rows]}, indent=2))


@events.command("watch")
@_filter_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="A line an event, for people or for machines.",
)
def watch_events(state_dir: Path, config_files: ConfigFiles, format_: str, **wanted: Any) -> None:
    """Show events as they arrive, until Ctrl-C; with --since also those that are there already.

    Exit codes: 0 ended by Ctrl-C, 1 the events cannot be read, 2 the command line is wrong.
    """
    with _database(state_dir, config_files) as database:
        if wanted["since"] is None:
            with database.reading() as tx:
                wanted["after_id"] = last_id(tx)
        try:
            for event in watch(database, Filter(**wanted), threading.Event()):
                click.echo(_json_line(event) if format_ == "jsonl" else _text_line(event))
        except KeyboardInterrupt:
            return


@contextmanager
def _database(state_dir: Path, config_files: ConfigFiles) -> Iterator[Database]:
    url = collector_url(state_dir, config_files)
    try:
        database = Database.read_only(url)
    except ValueError as error:
        raise click.ClickException(f"{error}.") from error
    try:
        yield database
    except CollectorDatabaseError as error:
        raise click.ClickException(f"The collector's events cannot be read: {error}.") from error
    finally:
        database.close()


def _mention_dead_letters(dead: int) -> None:
    if dead:
        click.echo(f"{dead} messages could not be read; they are in the table dead_letters.", err=True)


def _as_json(event: StoredEvent) -> dict[str, JSON]:
    return {
        "id": event.id,
        "message_id": event.message_id,
        "event_type": event.event_type,
        "severity": event.severity,
        "publisher_id": event.publisher_id,
        "timestamp": iso(event.timestamp),
        "received_at": iso(event.received_at),
        "tenant_id": event.tenant_id,
        "request_id": event.request_id,
        "run_id": event.run_id,
        "instance_id": event.instance_id,
        "payload": dict(event.payload),
    }


def _json_line(event: StoredEvent) -> str:
    return json.dumps(_as_json(event), ensure_ascii=True)


def _print_table(found: list[StoredEvent]) -> None:
    rows: list[tuple[str, ...]] = [
        (
            clock_time(event.timestamp),
            event.event_type,
            event.tenant_id or "",
            _short(event.instance_id),
            _short(event.run_id),
            _facts(event),
        )
        for event in found
    ]
    columns = [
        Column("TIME (UTC)"),
        Column("EVENT"),
        Column("TENANT", Fit.CUT),
        Column("INSTANCE"),
        Column("RUN"),
        Column("FACTS", Fit.CUT),
    ]
    if width() < WIDE:
        rows = [(time[11:], event_type, *others[1:]) for time, event_type, *others in rows]
        del columns[2]
    print_table(columns, rows, styles=["red" if event.severity == "error" else "" for event in found])


def _text_line(event: StoredEvent) -> str:
    line = "  ".join(
        (
            clock_time(event.timestamp),
            f"{event.event_type:<36}",
            f"{event.tenant_id or '-':<12}",
            f"{_short(event.instance_id) or '-':<8}",
            f"{_short(event.run_id) or '-':<8}",
            _facts(event),
        )
    )
    return click.style(printable(line), fg="red" if event.severity == "error" else None)


def _short(identifier: str | None) -> str:
    """The beginning of an id: enough to tell a few apart; --format json has the whole."""
    return (identifier or "")[:8]


def _facts(event: StoredEvent) -> str:
    return " ".join(
        f"{name}={_fact(value)}"
        for name, value in event.payload.items()
        if name not in _TOLD_ELSEWHERE and value is not None
    )


def _fact(value: JSON) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 - a trace would bury all else
