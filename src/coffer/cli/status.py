"""`coffer status`: whether the control plane is well, as its database tells."""

from datetime import UTC, datetime
from pathlib import Path

import click

from coffer.cli.condition import Condition
from coffer.cli.databases import ConfigFiles, config_files_option, control_url
from coffer.cli.output import Column, clock_time, iso, print_json, print_table, printable, span
from coffer.cli.state_dir import state_dir_option
from coffer.store import leases, outbox, runs, services
from coffer.store.database import Database
from coffer.store.errors import StoreError
from coffer.store.services import Service
from coffer.wire.json import JSON

RELAY_LEASE = "relay"


@click.command(short_help="Show whether the control plane is well.")
@state_dir_option
@config_files_option
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def status(ctx: click.Context, state_dir: Path, config_files: ConfigFiles, format_: str) -> None:
    """Show the services, the events that wait for the broker, and the runs that are open.

    The answer comes from the database, so it also comes when nothing runs any more.

    Exit codes: 0 all is well, 1 something is wrong (it is named) or the database cannot be read, 2 the
    command line is wrong.
    """
    url = control_url(state_dir, config_files)
    try:
        condition = _read(url)
    except (StoreError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    problems = condition.problems()
    if format_ == "json":
        print_json(_as_json(condition, problems))
    else:
        _print_tables(condition)
        for problem in problems:
            click.echo(printable(problem), err=True)
    ctx.exit(1 if problems else 0)


def _read(url: str) -> Condition:
    database = Database(url, pool_size=1)
    try:
        now = datetime.now(UTC)
        with database.reading() as tx:
            return Condition(
                now=now,
                services=services.list_all(tx),
                backlog=outbox.backlog(tx),
                open_runs=runs.open_runs(tx),
                relay_holder=leases.holder(tx, RELAY_LEASE, now),
            )
    finally:
        database.close()


def _as_json(condition: Condition, problems: list[str]) -> dict[str, JSON]:
    return {
        "is_well": not problems,
        "problems": list(problems),
        "services": [
            {
                "id": service.id,
                "kind": service.kind,
                "host": service.host,
                "pid": service.pid,
                "started_at": iso(service.started_at),
                "seen_at": iso(service.seen_at),
                "is_alive": condition.is_alive(service),
                "trouble": service.trouble,
            }
            for service in condition.services
        ],
        "outbox": {
            "count": condition.backlog.count,
            "oldest_age_s": condition.oldest_waiting_s,
        },
        "relay_lease_holder": condition.relay_holder,
        "open_runs": [
            {
                "run_id": run.run_id,
                "operation": run.operation,
                "request_id": run.request_id,
                "tenant_id": run.project_id,
                "instance_id": run.instance_id,
                "started_at": iso(run.started_at),
                "deadline_at": iso(run.deadline_at),
                "claimed_by": run.claimed_by,
                "handed_to": run.handed_to,
                "is_overdue": condition.is_overdue(run),
            }
            for run in condition.open_runs
        ],
    }


def _print_tables(condition: Condition) -> None:
    print_table(
        [
            Column("SERVICE"),
            Column("ID"),
            Column("HOST"),
            Column("PID", is_number=True),
            Column("STATE"),
            Column("SEEN"),
        ],
        [
            (
                service.kind,
                service.id,
                service.host,
                str(service.pid),
                _state(condition, service),
                f"{span(condition.age_s(service.seen_at))} ago",
            )
            for service in condition.services
        ],
    )
    waiting_s = condition.oldest_waiting_s
    oldest = "" if waiting_s is None else f", the oldest for {span(waiting_s)}"
    click.echo(f"\nOutbox: {condition.backlog.count} events wait for the broker{oldest}.")
    click.echo(f"Relay: {printable(condition.relay_holder or 'none is alive')}.")
    click.echo(f"Open runs: {len(condition.open_runs)}.")
    if condition.open_runs:
        _print_open_runs(condition)


def _state(condition: Condition, service: Service) -> str:
    if not condition.is_alive(service):
        return "silent"
    return "alive" if service.trouble is None else "troubled"


def _print_open_runs(condition: Condition) -> None:
    print_table(
        [
            Column("RUN"),
            Column("OPERATION"),
            Column("TENANT"),
            Column("INSTANCE"),
            Column("AGE", is_number=True),
            Column("DEADLINE (UTC)"),
        ],
        [
            (
                run.run_id,
                run.operation,
                run.project_id,
                run.instance_id or "",
                span(condition.age_s(run.started_at)),
                clock_time(run.deadline_at) + (" OVERDUE" if condition.is_overdue(run) else ""),
            )
            for run in condition.open_runs
        ],
        styles=["red" if condition.is_overdue(run) else "" for run in condition.open_runs],
    )
