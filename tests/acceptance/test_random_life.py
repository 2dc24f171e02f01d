"""Several tenants do whatever comes to their minds, and everything dies at random: the books are right all the same.

`COFFER_SEED` repeats the choices of a run, `COFFER_RANDOM_S` says how long it lasts; what meets what is up to the
machine, so the same seed need not find the same fault at once. `COFFER_RANDOM_LOG` names a file that keeps the log.
"""

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.announcements import Announcements, settled
from tests.support.bill import Life, bill, lives_kept, lives_told, periods_told
from tests.support.hazards import Hazards
from tests.support.processes import Process, about, running
from tests.support.random_clients import Diary, Project, RandomClient
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for

LIFE_S = float(os.environ.get("COFFER_RANDOM_S", "15"))
LOG = os.environ.get("COFFER_RANDOM_LOG")
TENANTS = ("acme", "umbrella")
CLIENTS_EACH = 2
PAUSE_S = (2.0, 6.0)
INTERVAL_S = 2
GONE_S = 120.0
POLL_S = 0.1
TRACE = 4000
RAM_MIB = {"1": 512, "2": 1024}
OPTIONS = {
    "DEFAULT": {
        "exists_notification_transformer": "coffer.lifecycle.exists.Exists",
        "exists_notification_interval": INTERVAL_S,
        "max_instances_per_tenant": 4,
        "max_volumes_per_tenant": 9,
        "max_backups_per_tenant": 4,
    }
}


@pytest.fixture
def coffer() -> Iterator[Standalone]:
    with standalone(OPTIONS) as started:
        yield started
        if LOG is not None:
            Path(LOG).write_text(started.log_text())


@pytest.mark.timeout(300 + 10 * LIFE_S)
def test_whatever_happens_every_run_ends_once_and_the_books_are_right(coffer: Standalone) -> None:
    seed = int(os.environ.get("COFFER_SEED") or random.SystemRandom().randrange(2**32))
    print(f"COFFER_SEED={seed} COFFER_RANDOM_S={LIFE_S:g}")
    projects = [Project(coffer, name) for name in TENANTS]

    furnish(coffer)
    diary = live(coffer, projects, seed)
    print(diary)

    coffer.settle()
    assert diary.horrors == []
    for project in projects:
        nobody_is_stuck(project)
        quotas_are_what_exists(project)
    nothing_runs_but_what_lives(coffer, projects)

    uids = uids_of(coffer)
    for project in projects:
        remove_everything(coffer, project)
    nothing_is_left(coffer, uids)
    for project in projects:
        quotas_are_what_exists(project)

    wait_until_audited(coffer)
    announced = settled(coffer)
    print(
        Counter(
            f"{run.operation} {'ok' if run.succeeded else run.error['error_code']}" for run in announced.runs
        )
    )
    # There is always a word for what went wrong.
    errors = [run.error for run in announced.runs if not run.succeeded]
    unexplained = [error["exception"] for error in errors if error["error_code"] == "internal_error"]
    assert unexplained == [], "\n".join([*unexplained, *traces(coffer)])
    bills_agree(coffer, announced)


def furnish(coffer: Standalone) -> None:
    """Give every tenant something to begin with."""
    tenants = [Tenant(coffer.url, name) for name in TENANTS]
    begun = [(tenant, tenant.create(databases=["d0"])) for tenant in tenants]
    for tenant, instance_id in begun:
        tenant.wait_for(instance_id, "ACTIVE")


def live(coffer: Standalone, projects: list[Project], seed: int) -> Diary:
    """Let the tenants live and everything die, until the time is over; then somebody serves again."""
    diary, over = Diary(), threading.Event()
    until = time.monotonic() + LIFE_S
    clients = [
        RandomClient(project, random.Random(f"{seed} {project.name} {number}"), diary, until=until)
        for project in projects
        for number in range(CLIENTS_EACH)
    ]
    hazards = Hazards(coffer, random.Random(f"{seed} hazards"), pause_s=PAUSE_S)
    for client in clients:
        client.start()
    ender = threading.Timer(LIFE_S, over.set)
    ender.start()
    try:
        hazards.until(over)
    finally:
        ender.cancel()
        for client in clients:
            client.join()
    print(f"killed: {dict(hazards.struck)}")
    return diary


def nobody_is_stuck(project: Project) -> None:
    """With no run open, an instance serves or says that it does not."""
    states = {each["id"]: each["status"] for each in project.instances()}
    assert set(states.values()) <= {"ACTIVE", "RESTART_REQUIRED", "ERROR"}, states


def quotas_are_what_exists(project: Project) -> None:
    instances, backups = project.instances(), project.listed("/backups", "backups")
    exists = {
        "instances": len(instances),
        "ram": sum(RAM_MIB[each["flavor"]["id"]] for each in instances),
        "volumes": sum(each["volume"]["size"] for each in instances),
        "backups": len(backups),
    }
    shown = project.listed(f"/mgmt/quotas/{project.name}", "quotas")
    assert {each["resource"]: (each["in_use"], each["reserved"]) for each in shown} == {
        resource: (amount, 0) for resource, amount in exists.items()
    }


def nothing_runs_but_what_lives(coffer: Standalone, projects: list[Project]) -> None:
    """Directories, processes and ports are those of the instances that the API shows, and each has its own."""
    living = {each["id"]: each for project in projects for each in project.instances()}
    places = {place.name: place for place in (coffer.state_dir / "instances").iterdir()}
    assert places.keys() <= living.keys()
    assert {key for key, each in living.items() if each["status"] != "ERROR"} <= places.keys()
    strangers = [each for each in about(coffer.state_dir) if not is_of(each, [*places.values()])]
    assert {each.pid for each in strangers} == {coffer.pid}, strangers
    ports = {key: json.loads((place / "guest.json").read_text())["port"] for key, place in places.items()}
    assert len(set(ports.values())) == len(ports)
    assert {key: living[key].get("port", port) for key, port in ports.items()} == ports
    stored = {folder.name for folder in folders(coffer.state_dir / "backups")}
    kept = {each["id"] for project in projects for each in project.listed("/backups", "backups")}
    assert stored <= kept


def is_of(process: Process, places: list[Path]) -> bool:
    return any(
        process.directory.startswith(f"{place}/") or f"{place}/" in process.arguments for place in places
    )


def remove_everything(coffer: Standalone, project: Project) -> None:
    """Delete all that a tenant has, as he would; whatever has happened to it, it can be deleted."""

    def is_bare() -> bool:
        backups = project.listed("/backups", "backups")
        for each in backups:
            if each["parent_id"] is None and each["status"] != "DELETING":
                take(project, f"/backups/{each['id']}")
        for each in project.instances():
            if each["status"] in {"ACTIVE", "RESTART_REQUIRED", "ERROR"} and "replicas" not in each:
                take(project, f"/instances/{each['id']}")
        return not backups and not project.instances()

    wait_for(is_bare, GONE_S, f"{project.name} to have nothing", poll_s=POLL_S)
    while groups := project.listed("/configurations", "configurations"):  # a page at a time
        for each in groups:
            assert project.call("DELETE", f"/configurations/{each['id']}").status == 202
    coffer.settle()


def take(project: Project, path: str) -> None:
    answer = project.call("DELETE", path)
    # 404 and 422: the deletion asked for before has come so far meanwhile.
    assert answer.status in {202, 404, 422}, (path, answer)


def uids_of(coffer: Standalone) -> set[int]:
    """Return the users of the instances that live; they are nobody else's."""
    records = [json.loads(path.read_text()) for path in (coffer.state_dir / "instances").glob("*/guest.json")]
    return {record["uid"] for record in records if record["uid"] is not None}


def nothing_is_left(coffer: Standalone, uids: set[int]) -> None:
    assert folders(coffer.state_dir / "instances") == []
    assert folders(coffer.state_dir / "backups") == []
    assert [each for each in about(coffer.state_dir) if each.pid != coffer.pid] == []
    # Without a process there is no port either.
    assert [each for each in running() if each.uid in uids] == []


def folders(place: Path) -> list[Path]:
    return list(place.iterdir()) if place.exists() else []


def wait_until_audited(coffer: Standalone) -> None:
    """Wait until the window in which the last instance ended has been announced."""
    ((last,),) = coffer.rows("select max(deleted_at) from instances where launched_at is not null")
    audited = "select count(*) from audit_windows where window_begin > ? and last_instance_id is null"
    query = audited.replace("?", f"'{last}'")
    wait_for(lambda: coffer.rows(query) == [(1,)], GONE_S, "the last window", poll_s=POLL_S)


def traces(coffer: Standalone) -> Iterator[str]:
    """Return what the log says of failures that nobody expected."""
    for part in coffer.log_text().split("Traceback (most recent call last):")[1:]:
        yield part[:TRACE]


def bills_agree(coffer: Standalone, announced: Announcements) -> None:
    """What the events say that everybody owes is what the tables say, to the microsecond; at any time."""
    told = lives_told(announced.events)
    kept = lives_kept(
        coffer.rows("select id, project_id, created_at, launched_at, deleted_at from instances"),
        coffer.rows(
            "select operation, instance_id, traits, ended_at from runs"
            " where ending = 'end' and instance_id is not null order by ended_at"
        ),
    )
    now = datetime.now(UTC)
    moments = sorted({life.begin for life in kept.values()} | {life.end or now for life in kept.values()})
    for until in (*moments, now):
        assert bill(told.values(), until) == bill(kept.values(), until)
    print(f"bill: {bill(told.values(), now)}")
    periods_agree(told, announced)


def periods_agree(told: dict[str, Life], announced: Announcements) -> None:
    """The audited periods of an instance are its life: without a gap, without a moment twice."""
    periods = periods_told(announced.events)
    assert periods.keys() == {instance_id for instance_id, life in told.items() if life.begin != life.end}
    for instance_id, parts in periods.items():
        life = told[instance_id]
        assert (parts[0][0], parts[-1][1]) == (life.begin, life.end)
        for before, after in itertools.pairwise(parts):
            assert before[1] == after[0]
