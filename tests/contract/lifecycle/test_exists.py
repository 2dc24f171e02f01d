"""`trove.instance.exists`: each window once an instance, whatever happens to those who announce it."""

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.audits import HOUR_S, SERVICE_IDS, Ledger, Told, at, hours, periods, stamp, to_the_end
from tests.support.threads import together
from tests.support.waiting import wait_for

from coffer.catalogue.events import EVENTS
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.exists import Exists
from coffer.lifecycle.payloads import Value
from coffer.lifecycle.windows import Window
from coffer.store import instances
from coffer.store.database import Database
from coffer.store.errors import StoreUnavailable
from coffer.store.instances import Instance

ROOT = Path(__file__).parents[3]


def test_a_window_is_announced_when_it_is_over_and_never_again(ledger: Ledger) -> None:
    one, two = ledger.add(), ledger.add()
    audit = ledger.audit()
    ledger.now = at(0.5)
    assert not audit.step()
    assert not audit.step()
    assert ledger.told() == Counter()

    ledger.now = at(1)
    to_the_end(audit)
    assert ledger.told() == hours(one, [0]) + hours(two, [0])
    assert ledger.wakes == 1

    ledger.now = at(1.99)
    to_the_end(audit)
    to_the_end(ledger.audit("started again"))
    assert ledger.told() == hours(one, [0]) + hours(two, [0])


def test_a_window_waits_for_transactions_with_a_time_within_it(ledger: Ledger) -> None:
    instance = ledger.add()
    audit = ledger.audit(settle_s=10.0)
    audit.step()
    ledger.now = at(1) + timedelta(seconds=9.9)
    assert not audit.step()
    ledger.now = at(1) + timedelta(seconds=10)
    to_the_end(audit)
    assert ledger.told() == hours(instance, [0])


def test_the_event_says_what_is_declared_and_enough_for_a_bill(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    instance = ledger.add(cluster_id="cluster-1", availability_zone="zone-1", project_id="acme")
    audit = ledger.audit()
    audit.step()
    ledger.now = at(1)
    to_the_end(audit)
    (notification,) = ledger.notifications()
    assert caplog.records == []  # a payload with a flaw is an error in the log
    event = EVENTS["trove.instance.exists"]
    assert (notification.event_type, notification.severity) == (event.event_type, "info")
    assert notification.publisher_id == "task.tasks-1"
    assert notification.timestamp == at(1)
    assert notification.payload == {
        "tenant_id": "acme",
        "user_id": "user-1",
        "instance_id": instance.id,
        "instance_name": "shop",
        "display_name": "shop",
        "instance_type": "tiny",
        "instance_type_id": "1",
        "instance_size": 512,
        "volume_size": 2,
        "cluster_id": "cluster-1",
        "nova_instance_id": "server-1",
        "region": "RegionOne",
        "service_id": SERVICE_IDS["postgresql"],
        "state": "active",
        "state_description": "active",
        "created_at": stamp(at(-9)),
        "launched_at": stamp(at(-9)),
        "audit_period_beginning": stamp(at(0)),
        "audit_period_ending": stamp(at(1)),
    }
    assert set(notification.payload) == {trait.field for trait in event.all_traits}
    assert notification.context == {
        "project_id": "acme",
        "tenant": "acme",
        "user_id": "user-1",
        "user": "user-1",
    }


def test_windows_that_passed_while_nobody_ran_are_caught_up_in_order(ledger: Ledger) -> None:
    instance = ledger.add()
    gone = ledger.add(deleted_at=at(2.5), state=InstanceState.DELETED)
    ledger.audit().step()
    ledger.now = at(5.2)
    to_the_end(ledger.audit())
    expected = hours(instance, range(5)) + hours(gone, range(2)) + periods(gone, (at(2), at(2.5)))
    assert ledger.told() == expected
    begins = [str(each.payload["audit_period_beginning"]) for each in ledger.notifications()]
    assert begins == sorted(begins)


def test_an_instance_is_billed_for_the_parts_of_the_windows_that_it_lived(ledger: Ledger) -> None:
    gone = {"state": InstanceState.DELETED}
    born = ledger.add(created_at=at(0.25))
    died = ledger.add(deleted_at=at(0.75), **gone)
    brief = ledger.add(created_at=at(0.2), launched_at=at(0.3), deleted_at=at(0.4), **gone)
    slow = ledger.add(created_at=at(0.9), launched_at=at(1.1))
    ledger.add(deleted_at=at(0), **gone)
    ledger.add(created_at=at(2))
    ledger.add(launched_at=None, state=InstanceState.ERROR)
    ledger.add(created_at=at(0.1), launched_at=None, deleted_at=at(0.2), **gone)
    audit = ledger.audit()
    audit.step()
    ledger.now = at(1)
    to_the_end(audit)
    first = (
        periods(born, (at(0.25), at(1)))
        + periods(died, (at(0), at(0.75)))
        + periods(brief, (at(0.2), at(0.4)))
    )
    assert ledger.told() == first
    ledger.now = at(2)
    to_the_end(audit)
    assert ledger.told() == first + hours(born, [1]) + periods(slow, (at(0.9), at(2)))


def test_pages_are_continued_by_another_taskmanager_when_one_dies_between_them(ledger: Ledger) -> None:
    all_of_them = [ledger.add() for _ in range(7)]
    dying = ledger.audit("dying", page=2)
    dying.step()
    ledger.now = at(1)
    assert dying.step()
    assert ledger.told().total() == 2

    assert to_the_end(ledger.audit("heir", page=3)) == 2
    assert ledger.told() == sum((hours(each, [0]) for each in all_of_them), Counter[Told]())


TASKMANAGER = """
import sys
from tests.support.audits import Ledger, at
from coffer.store.database import Database

ledger = Ledger(Database(sys.stdin.readline().strip()))
ledger.now = at(1)
audit = ledger.audit("killed", page=1)
while audit.step():
    pass
"""


@pytest.mark.parametrize("after", [1, 20, 47])
def test_a_taskmanager_killed_at_any_moment_leaves_neither_gap_nor_double(
    ledger: Ledger, database_url: str, after: int
) -> None:
    all_of_them = [ledger.add() for _ in range(60)]
    ledger.audit().step()
    process = subprocess.Popen(
        [sys.executable, "-c", TASKMANAGER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(f"{database_url}\n")
        process.stdin.flush()
        wait_for(lambda: ledger.told().total() >= after, 60, f"{after} events")
    finally:
        process.kill()
        process.communicate(timeout=30)
    ledger.now = at(1)
    to_the_end(ledger.audit("heir", page=7))
    assert ledger.told() == sum((hours(each, [0]) for each in all_of_them), Counter[Told]())


def test_a_page_that_ends_with_the_last_instance_closes_the_window(ledger: Ledger) -> None:
    all_of_them = [ledger.add() for _ in range(4)]
    audit = ledger.audit(page=2)
    audit.step()
    ledger.now = at(2)
    to_the_end(audit)
    assert ledger.told() == sum((hours(each, [0, 1]) for each in all_of_them), Counter[Told]())


def test_of_two_that_announce_the_same_page_one_is_refused_and_writes_nothing(ledger: Ledger) -> None:
    instance = ledger.add()
    slow, quick = ledger.audit("slow"), ledger.audit("quick")
    slow.step()
    quick.step()
    ledger.now = at(1)
    assert quick.step()
    assert not slow.step()
    assert ledger.told() == hours(instance, [0])
    assert ledger.wakes == 1
    ledger.now = at(2)
    to_the_end(slow)
    assert not quick.step()
    assert ledger.told() == hours(instance, [0, 1])


@pytest.mark.parametrize("page", [1, 7, 1000])
def test_many_taskmanagers_at_once_announce_each_window_exactly_once(
    ledger: Ledger, database_url: str, page: int
) -> None:
    all_of_them = [ledger.add() for _ in range(20)]
    ledger.audit().step()
    ledger.now = at(3)
    opened = [Database(database_url) for _ in range(4)]  # as processes of their own would

    def announce(number: int) -> None:
        audit = ledger.audit(str(number), page=page, database=opened[number])
        for _ in range(40):
            to_the_end(audit)

    together(4, announce)
    for each in opened:
        each.close()
    to_the_end(ledger.audit(page=page))
    assert ledger.told() == sum((hours(each, range(3)) for each in all_of_them), Counter[Told]())


def test_of_many_that_start_first_one_enters_the_first_window(ledger: Ledger, database_url: str) -> None:
    instance = ledger.add()
    opened = [Database(database_url) for _ in range(6)]
    together(6, lambda number: ledger.audit(str(number), database=opened[number]).step())
    for each in opened:
        each.close()
    ledger.now = at(1)
    to_the_end(ledger.audit())
    assert ledger.told() == hours(instance, [0])


def test_a_clock_that_is_set_back_announces_nothing_twice_and_loses_nothing(ledger: Ledger) -> None:
    instance = ledger.add()
    ledger.audit().step()
    for hour in (1, 3, -5, 0, 2.5, 3.5, 4):
        ledger.now = at(hour)
        to_the_end(ledger.audit())
    assert ledger.told() == hours(instance, range(4))


def test_another_interval_continues_where_the_one_before_it_ended(ledger: Ledger) -> None:
    instance = ledger.add()
    ledger.audit().step()
    ledger.now = at(1.5)
    to_the_end(ledger.audit())
    to_the_end(ledger.audit(interval_s=600))
    ledger.now = at(1.8)
    to_the_end(ledger.audit(interval_s=2 * HOUR_S))
    ledger.now = at(6)
    to_the_end(ledger.audit(interval_s=2 * HOUR_S))
    sixth = timedelta(minutes=10)
    assert ledger.told() == (
        hours(instance, [0])
        + periods(instance, *((at(1) + n * sixth, at(1) + (n + 1) * sixth) for n in range(3)))
        + periods(instance, (at(1.5), at(2)), (at(2), at(4)), (at(4), at(6)))
    )


def test_another_interval_does_not_change_a_window_that_is_half_announced(ledger: Ledger) -> None:
    all_of_them = [ledger.add() for _ in range(4)]
    first = ledger.audit(page=3)
    first.step()
    ledger.now = at(1)
    assert first.step()
    to_the_end(ledger.audit(page=3, interval_s=60))
    assert ledger.told() == sum((hours(each, [0]) for each in all_of_them), Counter[Told]())


def test_taskmanagers_with_different_intervals_leave_no_gap_and_no_overlap(ledger: Ledger) -> None:
    instance = ledger.add()
    audits = [ledger.audit(str(interval_s), interval_s=interval_s) for interval_s in (HOUR_S, 420, 1000)]
    audits[0].step()
    for minutes in range(0, 300, 5):
        ledger.now = at(minutes / 60)
        to_the_end(audits[minutes % 3])
    told = sorted(ledger.told())
    assert all(count == 1 for count in ledger.told().values())
    assert told[0] == (instance.id, stamp(at(0)), told[0][2])
    assert all(before[2] == after[1] for before, after in itertools.pairwise(told))
    assert told[-1][2] >= stamp(at(4))


def test_the_size_is_the_present_one(ledger: Ledger) -> None:
    instance = ledger.add()
    audit = ledger.audit()
    audit.step()
    ledger.now = at(1)
    with ledger.database.writing() as tx:
        instances.update(tx, instance.id, at(0.5), ram_mib=2048, volume_gib=9)
    to_the_end(audit)
    (notification,) = ledger.notifications()
    assert notification.payload["instance_size"] == 2048
    assert notification.payload["volume_size"] == 9


def test_the_audit_waits_while_the_broker_is_behind(ledger: Ledger) -> None:
    all_of_them = [ledger.add() for _ in range(9)]
    audit = ledger.audit(page=2, most_waiting=4)
    audit.step()
    ledger.now = at(1)
    assert to_the_end(audit) == 3
    assert ledger.told().total() == 6
    first = ledger.told()
    ledger.sent()
    to_the_end(audit)
    assert first + ledger.told() == sum((hours(each, [0]) for each in all_of_them), Counter[Told]())


class Choosy(Exists):
    """An operator's class: tells of some instances only, and fails at some."""

    failing = True

    def values(self, instance: Instance, period: Window) -> Mapping[str, Value] | None:
        if instance.name == "secret":
            return None
        if instance.name == "strange" and self.failing:
            raise KeyError(instance.name)
        return super().values(instance, period)


def test_an_operators_class_that_fails_loses_no_period(ledger: Ledger) -> None:
    strange, plain = ledger.add(name="strange"), ledger.add()
    ledger.add(name="secret")
    choosy = Choosy(SERVICE_IDS)
    audit = ledger.audit(transformer=choosy)
    audit.step()
    ledger.now = at(2)
    for _ in range(2):
        with pytest.raises(KeyError):
            audit.step()
    assert ledger.told() == Counter()
    choosy.failing = False
    to_the_end(audit)
    assert ledger.told() == hours(strange, [0, 1]) + hours(plain, [0, 1])


def test_a_page_that_the_database_does_not_take_is_written_by_the_next_attempt(sqlite_url: str) -> None:
    ledger = Ledger(Database(sqlite_url))
    impatient = Database(f"{sqlite_url}?timeout=0.05")
    instance = ledger.add()
    audit = ledger.audit(database=impatient)
    audit.step()
    ledger.now = at(1)
    with ledger.database.writing(), pytest.raises(StoreUnavailable):
        audit.step()
    to_the_end(audit)
    assert ledger.told() == hours(instance, [0])
    ledger.database.close()
    impatient.close()
