"""What can break: every experiment of the laboratory by its name."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tests.support.laboratory.cable import Impossible, cable
from tests.support.laboratory.clocks import WrongClock
from tests.support.laboratory.experiment import Fault
from tests.support.laboratory.site import QUEUES, Laboratory, children, family, signal_all
from tests.support.queues import channel
from tests.support.waiting import wait_for

TAKEN_OVER_S = 40.0
HOUR_S = 3600
Strike = Callable[[Laboratory], AbstractContextManager[None]]


# --- processes of the control plane ---


@contextmanager
def _nothing(_: Laboratory) -> Iterator[None]:
    yield


@contextmanager
def _killed(kind: str, place: Laboratory) -> Iterator[None]:
    place.service(kind).kill()
    yield


@contextmanager
def _frozen(kind: str, place: Laboratory) -> Iterator[None]:
    pids = family(place.service(kind).pid)
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextmanager
def _worker_killed(place: Laboratory) -> Iterator[None]:
    os.kill(place.api_workers()[0], signal.SIGKILL)
    yield


@contextmanager
def _worker_frozen(place: Laboratory) -> Iterator[None]:
    pid = place.api_workers()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _relays_fight(place: Laboratory) -> Iterator[None]:
    """Freeze the relay that publishes in the middle of it, let the other take over, and wake the first."""
    pid = place.service("relay").pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: place.active_relay() not in (None, pid), TAKEN_OVER_S, "the other relay")
    finally:
        os.kill(pid, signal.SIGCONT)
    yield


# --- guest agents ---


@contextmanager
def _guests_killed(place: Laboratory) -> Iterator[None]:
    signal_all(place.agents(), signal.SIGKILL)
    yield


@contextmanager
def _guests_frozen(place: Laboratory) -> Iterator[None]:
    pids = place.agents()
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


# --- the broker ---


@contextmanager
def _broker_killed(place: Laboratory) -> Iterator[None]:
    place.node.kill()
    try:
        yield
    finally:
        place.node.start()


@contextmanager
def _broker_frozen(place: Laboratory) -> Iterator[None]:
    place.node.freeze()
    try:
        yield
    finally:
        place.node.thaw()


@contextmanager
def _broker_in_alarm(place: Laboratory) -> Iterator[None]:
    place.node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield
    finally:
        place.node.control("set_vm_memory_high_watermark", "absolute", "1GB")


@contextmanager
def _queues_deleted(place: Laboratory) -> Iterator[None]:
    """Delete every queue that a notification could go to.

    The relays stand still meanwhile: what a queue holds is gone with it, and the broker confirms what is on its way
    into a queue that is being deleted. So each queue is emptied into the hands of the witnesses first.
    """
    place.stop_listening()
    for service in place.coffer.of("collector"):
        service.terminate()
    relays = [service.pid for service in place.coffer.of("relay")]
    signal_all(relays, signal.SIGSTOP)
    try:
        wait_for(partial(_are_deleted, place), TAKEN_OVER_S, "the end of the queues")
    finally:
        signal_all(relays, signal.SIGCONT)
    try:
        yield
    finally:
        place.listen()


def _are_deleted(place: Laboratory) -> bool:
    """Empty the queues and delete them, once nobody holds anything of them that is not acknowledged."""
    for queue in QUEUES:
        place.take_queue(queue)
    rows = [row.split() for row in place.node.control("list_queues", "name", "messages").splitlines()]
    if any([queue, "0"] not in rows for queue in QUEUES):
        return False
    with channel(place.node) as opened:
        for queue in QUEUES:
            opened.queue_delete(queue)
    return True


# --- the database ---


@contextmanager
def _database_ended(how: signal.Signals, place: Laboratory) -> Iterator[None]:
    place.server.stop(how)
    try:
        yield
    finally:
        place.server.start()


@contextmanager
def _database_restarted(place: Laboratory) -> Iterator[None]:
    place.server.stop(signal.SIGINT)
    place.server.start()
    yield


@contextmanager
def _database_frozen(place: Laboratory) -> Iterator[None]:
    assert place.server.pid is not None
    pids = [place.server.pid, *children(place.server.pid)]
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextmanager
def _disk_full(place: Laboratory) -> Iterator[None]:
    if place.disk is None:
        raise Impossible("a small file system for the database takes the right to mount")
    filler = place.disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 2**20):
                    pass
            except OSError:
                pass  # full
        yield
    finally:
        filler.unlink()
        if place.server.pid is None:  # it gives up when it cannot even write its log
            place.server.stop()
            place.server.start()


# --- clocks and networks ---


def _on_another_machine(place: Laboratory) -> None:
    """Have one taskmanager, one conductor and one relay run where we can set the clock."""
    clock = WrongClock(place.coffer.root / "clock")
    for kind in ("taskmanager", "conductor", "relay"):
        place.service(kind).terminate()
        place.strangers.append(place.coffer.start(kind, environment=clock.environment))


@contextmanager
def _clock_set(offset_s: int, place: Laboratory) -> Iterator[None]:
    clock = WrongClock(place.coffer.root / "clock")
    clock.set(offset_s)
    try:
        yield
    finally:
        clock.set(0)


def _behind_a_cable(place: Laboratory) -> None:
    """Have the taskmanagers reach the broker over a cable, and the guests of new instances likewise."""
    place.remove_instances()
    laid = place.cleanup.enter_context(cable(place.node.port))
    place.cable = laid
    url = place.node.url.replace(f"127.0.0.1:{place.node.port}", laid.address)
    file = place.coffer.root / "compute.conf"
    file.touch(mode=0o600)
    file.write_text(f"[DEFAULT]\ntransport_url = {url}\n")
    for service in place.coffer.of("taskmanager"):
        service.terminate()
    for _ in range(2):
        place.strangers.append(place.coffer.start("taskmanager", config_files=[file]))
    place.coffer.mend()
    place.make_instances()


@contextmanager
def _network_cut(place: Laboratory) -> Iterator[None]:
    assert place.cable is not None
    place.cable.cut()
    try:
        yield
    finally:
        place.cable.heal()


# --- all of them ---


def _of_kind(kind: str, killed: str, frozen: str, *, is_fast: bool = False) -> list[Fault]:
    return [
        Fault(f"{kind} killed", killed, partial(_killed, kind), is_fast=is_fast),
        Fault(f"{kind} frozen", frozen, partial(_frozen, kind), lasts_s=6.0),
    ]


_ALL = (
    Fault("nothing", "Nothing breaks: what the others are compared with.", _nothing),
    Fault("api worker killed", "One of the API's two processes gets SIGKILL.", _worker_killed),
    Fault("api worker frozen", "One of the API's two processes is stopped.", _worker_frozen, lasts_s=6.0),
    *_of_kind(
        "taskmanager", "One of two gets SIGKILL.", "One of two is stopped, and taken for dead meanwhile."
    ),
    *_of_kind("conductor", "One of two gets SIGKILL.", "One of two is stopped.", is_fast=True),
    *_of_kind("relay", "The one that publishes gets SIGKILL.", "The one that publishes is stopped."),
    *_of_kind("collector", "It gets SIGKILL.", "It is stopped."),
    Fault(
        "relays fight",
        "The relay that publishes is stopped until the other has its lease, then it goes on.",
        _relays_fight,
        is_fast=True,
    ),
    Fault("guests killed", "The agents of all instances get SIGKILL.", _guests_killed),
    Fault("guests frozen", "The agents of all instances are stopped.", _guests_frozen, lasts_s=6.0),
    Fault("broker killed", "RabbitMQ gets SIGKILL, and is started again.", _broker_killed, is_fast=True),
    Fault("broker frozen", "RabbitMQ is stopped, its connections stay open.", _broker_frozen, lasts_s=12.0),
    Fault(
        "broker in alarm",
        "RabbitMQ is short of memory: it blocks who publishes.",
        _broker_in_alarm,
        lasts_s=12.0,
    ),
    Fault("broker away 30 s", "RabbitMQ is gone for half a minute.", _broker_killed, lasts_s=30.0),
    Fault("broker away 10 min", "RabbitMQ is gone for ten minutes.", _broker_killed, lasts_s=600.0),
    Fault(
        "queues deleted",
        "Every queue that a notification could go to is deleted; nothing can be routed.",
        _queues_deleted,
        is_fast=True,
        deletes_queues=True,
    ),
    Fault(
        "database killed",
        "PostgreSQL gets SIGKILL, and recovers.",
        partial(_database_ended, signal.SIGKILL),
        is_fast=True,
    ),
    Fault("database away", "PostgreSQL is stopped.", partial(_database_ended, signal.SIGINT), lasts_s=15.0),
    Fault("database restarted", "PostgreSQL is stopped and started at once.", _database_restarted),
    Fault("database frozen", "Every process of PostgreSQL is stopped.", _database_frozen, lasts_s=10.0),
    Fault(
        "disk full",
        "The file system of the outbox's database is full to the last byte.",
        _disk_full,
        lasts_s=8.0,
    ),
    Fault(
        "network cut",
        "No packet passes between the guests, and their taskmanagers, and the broker.",
        _network_cut,
        lasts_s=20.0,
        prepare=_behind_a_cable,
    ),
    *(
        Fault(
            f"clock {direction}",
            f"The clock of one machine (taskmanager, conductor, relay) is an hour {wrong}.",
            partial(_clock_set, offset_s),
            lasts_s=8.0,
            prepare=_on_another_machine,
            skew_s=HOUR_S + 60,
        )
        for direction, wrong, offset_s in (("forward", "fast", HOUR_S), ("back", "slow", -HOUR_S))
    ),
)


FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}
