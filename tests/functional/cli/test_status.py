import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.functional.cli.conftest import Command

from coffer.store import leases, outbox, runs, services
from coffer.store.database import Database
from coffer.store.outbox import OutboxRow
from coffer.store.runs import Run
from coffer.store.services import Service


@pytest.fixture
def alive(control: Database) -> Database:
    """A control plane that works: three services, a relay, a run that is under way, an event that waits."""
    now = datetime.now(UTC)
    with control.writing() as tx:
        for kind in ("api", "relay", "taskmanager"):
            services.register(tx, Service(f"{kind}-1", kind, "host-1", 42, now - timedelta(hours=3), now))
        leases.acquire(tx, "relay", "relay-1", now, 60.0)
        runs.insert(
            tx,
            Run(
                run_id="run-1",
                operation="instance_create",
                request_id="req-1",
                project_id="acme\x1b[2J",
                user_id=None,
                traits="{}",
                client_ip="",
                context="{}",
                owner="api-1",
                started_at=now - timedelta(minutes=5),
                deadline_at=now + timedelta(minutes=5),
                instance_id="i-1",
            ),
        )
        row = OutboxRow(run_id="run-1", event_type="x", severity="info", created_at=now, body=b"x")
        outbox.append(tx, [row])
    return control


def test_a_control_plane_that_works_is_well(command: Command, alive: Database, state_dir: Path) -> None:
    result = command("status", "--state-dir", state_dir, "--format", "json")
    assert result.exit_code == 0
    status = json.loads(result.stdout)
    assert (status["is_well"], status["problems"]) == (True, [])
    assert [(service["kind"], service["is_alive"]) for service in status["services"]] == [
        ("api", True),
        ("relay", True),
        ("taskmanager", True),
    ]
    assert status["outbox"]["count"] == 1
    assert 0 <= status["outbox"]["oldest_age_s"] < 30
    assert status["relay_lease_holder"] == "relay-1"
    [run] = status["open_runs"]
    assert (run["run_id"], run["operation"], run["is_overdue"]) == ("run-1", "instance_create", False)


def test_the_table_is_for_people(command: Command, alive: Database, state_dir: Path) -> None:
    result = command("status", "--state-dir", state_dir)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "taskmanager  taskmanager-1  host-1   42  alive" in result.stdout
    assert "Outbox: 1 events wait for the broker, the oldest for " in result.stdout
    assert "Relay: relay-1." in result.stdout
    assert "acme\\x1b[2J" in result.stdout


def test_a_control_plane_that_stopped_is_not_well(
    command: Command, control: Database, state_dir: Path
) -> None:
    result = command("status", "--state-dir", state_dir)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "No service is running.",
        "No relay is alive: events stay in the outbox.",
    ]


def test_a_run_past_its_deadline_is_not_well(command: Command, alive: Database, state_dir: Path) -> None:
    with alive.writing() as tx:
        tx.exec_driver_sql("UPDATE runs SET deadline_at = '2026-01-01 00:00:00.000000'")
    result = command("status", "--state-dir", state_dir, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["open_runs"][0]["is_overdue"] is True


def test_a_state_directory_that_is_not_there_is_named(command: Command) -> None:
    result = command("status", "--state-dir", "/nonexistent")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: /nonexistent does not exist;")


def test_a_file_that_is_no_database_is_said(command: Command, state_dir: Path) -> None:
    (state_dir / "coffer.db").write_bytes(b"something else" * 100)
    result = command("status", "--state-dir", state_dir)
    assert result.exit_code == 1
    assert "not a database" in result.stderr
    assert "Traceback" not in result.stderr
