"""`coffer ceilometer check`: what an operator is told of his files."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.definitions import AS_PRINTED, CORRECTED

from coffer.cli.ceilometer import ceilometer as command
from coffer.derive import ceilometer, meters
from coffer.derive.meters_check import REQUIRED


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Check files with these contents."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(definitions: str, *words: str, meters: tuple[str, ...] = ()) -> Result:
        path = tmp_path / "definitions.yaml"
        path.write_text(definitions)
        arguments = ["check", "--definitions", str(path), *words]
        for number, content in enumerate(meters):
            file = tmp_path / f"meters-{number}.yaml"
            file.write_text(content)
            arguments += ["--meters", str(file)]
        return CliRunner().invoke(command, arguments)

    return run


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_our_own_files_are_understood(check: Any) -> None:
    result = check(ceilometer.text(), meters=(meters.text(),))

    assert result.exit_code == 0, result.output
    assert "coffer: 93 of 93 events are understood, 656 of 656 traits." in result.stdout
    assert "meter trove.instance.exists (delta): 1 events make samples" in result.stdout


def test_a_file_that_ceilometer_refuses_is_named_with_the_place(check: Any, tmp_path: Path) -> None:
    result = check(AS_PRINTED)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"would not load {tmp_path}/definitions.yaml. Line 2, column 9:" in result.stderr


def test_what_is_missing_is_named_by_event(check: Any) -> None:
    result = check("- event_type: dbaas.*\n  traits: {run_id: payload.run_id}\n", "--format", "json")

    assert result.exit_code == 1
    events = {event["event_type"]: event for event in told(result)["senders"]["coffer"]["events"]}
    restart, quota = events["dbaas.instance_restart.start"], events["trove.quota"]
    assert (restart["definition"], restart["documented"], restart["understood"]) == ("dbaas.*", 6, 2)
    assert [flaw["trait"] for flaw in restart["flaws"]] == [
        "client_ip", "server_ip", "server_type", "instance_id",
    ]  # fmt: skip
    assert (quota["definition"], quota["understood"], quota["is_lost"]) == (None, 0, False)


def test_a_value_that_does_not_fit_loses_the_event(check: Any) -> None:
    result = check("- event_type: '*.start'\n  traits: {name: {type: int, fields: payload.name}}\n")

    assert result.exit_code == 1
    assert "the whole event is lost: loses event: name (text read as int from payload.name)" in result.stdout


def test_the_wildcard_behind_what_it_hides_is_named(check: Any) -> None:
    result = check(CORRECTED, "--from", "trove")

    assert (
        "Put definition 2 (dbaas.*) before 1 (dbaas.quota): the last one that fits is taken." in result.stdout
    )


def test_both_senders_are_told_apart(check: Any) -> None:
    result = check(ceilometer.text(), "--from", "both", "--format", "json")

    senders = told(result)["senders"]
    assert {name: (len(each["events"]), each["documented"]) for name, each in senders.items()} == {
        "coffer": (93, 656),
        "trove": (120, 820),
    }
    assert senders["coffer"]["understood"] == 656
    quota = next(each for each in senders["trove"]["events"] if each["event_type"] == "dbaas.quota")
    assert (quota["understood"], quota["flaws"]) == (5, [])


METER = {
    "name": "trove.volume.size",
    "event_type": "trove.instance.create",
    "type": "gauge",
    "unit": "GiB",
    "volume": "$.payload.volume_size",
    "resource_id": "$.payload.instance_id",
}
PERIOD = {
    "fields": ["$.payload.audit_period_beginning", "$.payload.audit_period_ending"],
    "plugin": "timedelta",
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        *(({name: None}, f"does not load: {name} not set") for name in REQUIRED),
        ({"volume": 0}, "does not load: volume not set"),
        ({"type": "total"}, "does not load: its type is none of"),
        ({"volume": "$.payload.name"}, "its volume is no number"),
        ({"volume": "$.payload.room"}, "no sample of trove.instance.create, but a warning for each"),
        (
            {"event_type": "trove.instance"},
            "no sample of trove.instance.exists",
        ),  # a regular expression has no end
        ({"event_type": "trove.instance.exists", "type": "cumulative", "volume": PERIOD}, "typed cumulative"),
        ({"volume": PERIOD}, "is no time there"),
        ({"resource_id": "$.payload.id"}, "no resource_id in trove.instance.create"),
    ],
)
def test_a_flaw_of_a_meter_is_named(check: Any, change: dict[str, Any], problem: str) -> None:
    flawed = {**METER, **change}
    if flawed["event_type"] == "trove.instance":
        flawed["volume"] = "$.payload.old_volume_size"
    result = check(ceilometer.text(), "--format", "json", meters=(json.dumps({"metric": [flawed]}),))

    assert result.exit_code == 1
    assert any(problem in each for meter in told(result)["meters"] for each in meter["problems"]), (
        result.stdout
    )


@pytest.mark.parametrize("content", ["[]", "metric: none", "metric: [1]", '{"metric": [{"a": }'])
def test_a_file_that_is_no_list_of_meters_is_refused(check: Any, content: str) -> None:
    result = check(ceilometer.text(), meters=(content,))

    assert result.exit_code == 1
    assert "would not load" in result.stderr


def test_of_two_meters_of_a_name_the_first_file_has_the_say(check: Any) -> None:
    shipped = {
        **METER,
        "name": "trove.instance.exists",
        "event_type": "trove.instance.exists",
        "type": "cumulative",
    }
    both = (meters.text(), json.dumps({"metric": [{**shipped, "volume": PERIOD}]}))

    assert check(ceilometer.text(), meters=both).exit_code == 0
    assert check(ceilometer.text(), meters=both[::-1]).exit_code == 1
