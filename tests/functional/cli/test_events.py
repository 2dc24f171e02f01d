import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.functional.cli.conftest import Command, four_events
from tests.support.messages import HAPPENED, message

from coffer.collector.collector import Collector


@pytest.fixture
def filled(collector: Collector, state_dir: Path) -> Path:
    collector.store(four_events())
    return state_dir


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_a_line_of_jsonl_has_everything(command: Command, filled: Path) -> None:
    result = command("events", "list", "--state-dir", filled, "--format", "jsonl", "--limit", "1")
    assert result.exit_code == 0
    assert lines(result.stdout) == [
        {
            "id": 4,
            "message_id": "m-4",
            "event_type": "trove.instance.create",
            "severity": "info",
            "publisher_id": "api.host-1",
            "timestamp": "2026-11-22T08:00:03.123456Z",
            "received_at": "2026-11-22T09:00:00.000000Z",
            "tenant_id": "other",
            "request_id": None,
            "run_id": None,
            "instance_id": "i-2",
            "payload": {"tenant_id": "other", "instance_id": "i-2", "created_at": None, "volume_size": 2},
        }
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["m-1", "m-2", "m-3", "m-4"]),
        (["--tenant", "acme"], ["m-1", "m-2", "m-3"]),
        (["--type", "dbaas.*.error"], ["m-3"]),
        (["--run-id", "run-2"], ["m-3"]),
        (["--request-id", "req-1", "--type", "dbaas.database*"], ["m-1", "m-2"]),
        (["--instance", "i-2"], ["m-4"]),
        (["--since", "2026-11-22T08:00:02"], ["m-3", "m-4"]),
        (["--until", "2026-11-22T08:00:02"], ["m-1", "m-2"]),
        (["--limit", "2"], ["m-3", "m-4"]),
    ],
)
def test_options_choose_events(
    command: Command, filled: Path, options: list[str], expected: list[str]
) -> None:
    result = command("events", "list", "--state-dir", filled, "--format", "json", *options)
    assert result.exit_code == 0
    assert [event["message_id"] for event in json.loads(result.stdout)["events"]] == expected


def test_the_table_shows_the_time_of_the_happening_and_the_facts(command: Command, filled: Path) -> None:
    result = command("events", "list", "--state-dir", filled)
    assert result.exit_code == 0
    assert result.stderr == ""
    heading, first, *_, last = result.stdout.splitlines()
    assert heading.split() == ["TIME", "(UTC)", "EVENT", "TENANT", "INSTANCE", "RUN", "FACTS"]
    assert first.split() == [
        "2026-11-22", "08:00:00.123", "dbaas.database_create.start", "acme", "instance", "run-1", "dbname=shop"
    ]  # fmt: skip
    assert "volume_size=2" in last
    assert "created_at" not in last


def test_what_tenants_write_cannot_steer_the_terminal(command: Command, filled: Path) -> None:
    for format_ in ("table", "json", "jsonl"):
        output = command("events", "list", "--state-dir", filled, "--format", format_).stdout
        assert "evil [bold]" in output
        assert output.replace("\n", "").isprintable()
        assert "\u202e" not in output


def test_a_long_table_is_cut_and_says_so(command: Command, collector: Collector, state_dir: Path) -> None:
    collector.store([message(f"m-{number}") for number in range(502)])
    result = command("events", "list", "--state-dir", state_dir)
    assert len(result.stdout.splitlines()) == 501
    assert result.stderr == "2 older events are not shown; --limit shows more.\n"
    every = command("events", "list", "--state-dir", state_dir, "--format", "jsonl")
    assert len(every.stdout.splitlines()) == 502


def test_dead_letters_are_mentioned(command: Command, collector: Collector, state_dir: Path) -> None:
    collector.store([b"?"])
    result = command("events", "list", "--state-dir", state_dir)
    assert result.stderr == "1 messages could not be read; they are in the table dead_letters.\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["events", "list", "--state-dir", "/nonexistent"], 1, "/nonexistent does not exist"),
        (["events", "watch", "--state-dir", "/nonexistent"], 1, "/nonexistent does not exist"),
        (["events", "list"], 1, "xdg/coffer does not exist"),
        (["events", "list", "--since", "soon"], 2, "'soon' is no time"),
        (["events", "list", "--limit", "0"], 2, "--limit"),
        (["events", "list", "--format", "xml"], 2, "--format"),
    ],
)
def test_a_mistake_gets_a_sentence_and_no_traceback(
    command: Command, arguments: list[str], exit_code: int, complaint: str
) -> None:
    result = command(*arguments)
    assert result.exit_code == exit_code
    assert complaint in result.stderr
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)


def test_a_directory_without_events_is_named(command: Command, state_dir: Path) -> None:
    result = command("events", "list", "--state-dir", state_dir)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{state_dir} has no such file" in result.stderr


def test_a_file_that_is_no_database_is_said(command: Command, state_dir: Path) -> None:
    (state_dir / "collector.db").write_bytes(b"something else" * 100)
    result = command("events", "list", "--state-dir", state_dir)
    assert result.exit_code == 1
    assert "cannot be read: file is not a database." in result.stderr


def test_the_state_directory_can_come_from_the_environment(
    command: Command, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFFER_STATE_DIR", str(filled))
    assert "m-1" in command("events", "list", "--format", "jsonl").stdout


def watcher(state_dir: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "coffer.cli", "events", "watch", "--state-dir", str(state_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_watch_shows_what_arrives_until_interrupted(collector: Collector, filled: Path) -> None:
    process = watcher(filled, "--since", "2026-11-22T08:00:03", "--format", "jsonl")
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message_id"] == "m-4"
        collector.store([message("m-5", timestamp=HAPPENED + timedelta(hours=1)), message("m-4")])
        assert json.loads(process.stdout.readline())["message_id"] == "m-5"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.wait()


def test_a_reader_that_had_enough_is_no_error(collector: Collector, state_dir: Path) -> None:
    collector.store([message(f"m-{number}") for number in range(3000)])
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "coffer.cli",
            "events",
            "list",
            "--state-dir",
            str(state_dir),
            "--format",
            "jsonl",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 0
    process.stderr.close()
