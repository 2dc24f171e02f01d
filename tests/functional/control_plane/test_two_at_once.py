"""Operations on one instance that are asked for at the same moment, on a real server: one wins, the others are told."""

from collections import Counter

from tests.functional.control_plane.grouping import group_of, status_of
from tests.support.control_plane import ControlPlane
from tests.support.threads import together
from tests.support.waiting import wait_for

MOVING = ["instance_restart", "instance_resize_instance", "instance_resize_volume", "backup_create"]


def ask(control: ControlPlane, instance_id: str, operation: str) -> int:
    """Ask for an operation, return the status of the answer."""
    match operation:
        case "instance_restart":
            return control.action(instance_id, {"restart": {}})
        case "instance_resize_instance":
            return control.action(instance_id, {"resize": {"flavorRef": "2"}})
        case "instance_resize_volume":
            return control.action(instance_id, {"resize": {"volume": {"size": 2}}})
        case _:
            asked = {"name": "nightly", "instance": instance_id, "incremental": 0}
            return control.call("POST", "/backups", {"backup": asked})[0]


def test_of_conflicting_operations_one_wins_and_the_others_are_refused(control: ControlPlane) -> None:
    instance_id = control.create_active()
    before = len(control.events())

    answers = together(8, lambda number: ask(control, instance_id, MOVING[number % 4]))

    # One that begins only when another has ended is no conflict: a restart is quick.
    winners = answers.count(202)
    assert Counter(answers) == {202: winners, 422: 8 - winners}
    assert winners >= 1
    wait_for(lambda: control.open_runs() == [], 60, "the runs to end")
    told = [event for event in control.events()[before:] if event.event_type.startswith("dbaas.")]
    endings = Counter(event.event_type.rpartition(".")[2] for event in told)
    assert endings == {"start": 8, "end": winners, "error": 8 - winners}
    for event in told:
        if event.event_type.endswith(".error"):
            assert (event.payload["error_code"], event.payload["fault"]) == ("wrong_state", "user")
            assert event.severity == "error"
    assert status_of(control, instance_id) == "ACTIVE"
    assert control.show(instance_id).get("fault") is None
    facts = [event.event_type for event in control.events()[before:] if event.event_type.startswith("trove.")]
    row = control.row(instance_id)
    assert ("trove.instance.modify_flavor" in facts) == (row.flavor_id == "2")
    assert ("trove.instance.modify_volume" in facts) == (row.volume_gib == 2)
    assert (row.wanted_ram_mib, row.wanted_volume_gib) == (None, None)
    assert control.guest_config(instance_id).ram_mib == row.ram_mib
    assert control.ask(instance_id, "select 1") == "1"


def test_of_two_groups_that_are_attached_at_once_one_counts(control: ControlPlane) -> None:
    instance_id = control.create_active()
    groups = [group_of(control, f"g-{size}", work_mem=f"{size}MB") for size in (5, 6)]
    before = len(control.events())

    def attach(number: int) -> int:
        asked = {"instance": {"configuration": groups[number]}}
        return control.call("PUT", f"/instances/{instance_id}", asked)[0]

    answers = together(2, attach)

    assert answers.count(202) == 1
    winner = answers.index(202)
    assert set(answers) <= {202, 400, 422}
    told = Counter(event.event_type.rpartition(".")[2] for event in control.events()[before:])
    assert told == {"start": 2, "end": 1, "error": 1}
    assert control.show(instance_id)["configuration"]["id"] == groups[winner]
    assert status_of(control, instance_id) == "ACTIVE"
    assert control.ask(instance_id, "show work_mem") == ("5MB", "6MB")[winner]
