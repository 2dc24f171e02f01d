"""Passwords reach the server and nobody else: no file, no log line, no event, no fault, no process list."""

import os
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.standalone import Standalone, standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

LOUD = {
    "DEFAULT": {
        "debug": "true",
        "default_log_levels": "amqp=DEBUG,kombu=DEBUG,oslo_messaging=DEBUG,sqlalchemy=DEBUG,alembic=DEBUG",
    }
}
"""Everything speaks, the libraries too."""
LOOK_S = 0.005


@dataclass
class Secrets:
    """Passwords that are told from everything else; `marks` are what to look for, by what they were used for."""

    marks: dict[str, bytes] = field(default_factory=dict)

    def new(self, use: str) -> str:
        """Make a password. Half of it is hard to quote; the mark survives every way of quoting."""
        mark = secrets.token_hex(16)
        self.marks[use] = mark.encode()
        return f'it\'s "{mark}" \\ü'

    def keep(self, use: str, password: str) -> str:
        """Keep a password that somebody else made."""
        self.marks[use] = password.encode()
        return password

    def found_in(self, content: bytes) -> list[str]:
        """Return what the passwords were used for that this content holds."""
        # A copy: others may add to them meanwhile.
        return [use for use, mark in list(self.marks.items()) if mark in content]


@dataclass
class ProcessList:
    """What `ps` shows to everybody, watched all the time: arguments and environments of all processes."""

    kept: Secrets
    programs: set[str] = field(default_factory=set)
    leaks: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look at every process but our own, once."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            for name in ("cmdline", "environ"):
                with suppress(OSError):
                    content = (entry / name).read_bytes()
                    self.programs.add(Path(content.partition(b"\0")[0].decode(errors="replace")).name)
                    self.leaks.update(f"{name}: {use}" for use in self.kept.found_in(content))


@contextmanager
def watched_processes(kept: Secrets) -> Iterator[ProcessList]:
    """Watch the process list until the block ends."""
    seen, over = ProcessList(kept), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            seen.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.fixture
def loud() -> Iterator[Standalone]:
    """A control plane that logs everything."""
    with standalone(LOUD) as coffer:
        yield coffer


def test_no_password_is_anywhere_but_on_its_way(loud: Standalone) -> None:
    kept = Secrets()
    with watched_processes(kept) as processes:
        instance_id = use_passwords_well(loud, kept)
        fail_with_passwords(loud, kept, instance_id)
        break_in_the_middle(loud, kept, instance_id)

    announced = settled(loud)
    assert kept.found_in(repr(announced.events).encode()) == []
    assert {run.operation for run in announced.runs} == {
        "instance_create",
        "user_create",
        "user_change_password",
        "user_update_attributes",
    }
    assert processes.leaks == set()
    assert {"initdb", "postgres"} <= processes.programs, "the watcher saw what there was to see"
    assert " DEBUG " in loud.log_text()
    assert files_with(kept, loud.root) == {"admin.secret": ["administrator"]}
    loud.stop()
    assert files_with(kept, loud.root) == {"admin.secret": ["administrator"]}


def use_passwords_well(coffer: Standalone, kept: Secrets) -> str:
    """Give passwords in every way that works; return the instance."""
    tenant = Tenant(coffer.url)
    passwords = {name: kept.new(name) for name in ("alice", "bob", "postgres")}
    instance_id = tenant.create_active(users={"alice": passwords["alice"]})
    tenant.api.users.create(
        instance_id, [{"name": "bob", "password": passwords["bob"], "databases": [{"name": "shop"}]}]
    )
    coffer.settle()
    root = tenant.api.root.create_instance_root(instance_id, passwords["postgres"])
    assert root[1] == passwords["postgres"]
    for user, password in passwords.items():
        with tenant.log_in(instance_id, database="shop", user=user, password=password) as session:
            session.execute("select 1")
    changed = kept.new("bob, changed")
    tenant.api.users.change_passwords(instance_id, [{"name": "bob", "password": changed}])
    coffer.settle()
    again = kept.new("bob, changed again")
    tenant.api.users.update_attributes(instance_id, "bob", {"password": again})
    coffer.settle()
    with tenant.log_in(instance_id, database="shop", user="bob", password=again) as session:
        session.execute("select 1")
    user, password = tenant.api.root.create(instance_id)
    kept.keep("root, made by the server", password)
    kept.keep("administrator", (coffer.guest_dir(instance_id) / "admin.secret").read_text())
    with tenant.log_in(instance_id, database="shop", user=user, password=password) as session:
        session.execute("select 1")
    return instance_id


def fail_with_passwords(coffer: Standalone, kept: Secrets, instance_id: str) -> None:
    """Give passwords in calls that are refused, by the API and by the guest."""
    tenant = Tenant(coffer.url)
    api = tenant.api
    users = f"/instances/{instance_id}/users"
    eve = {"name": "eve", "password": kept.new("user of no database"), "databases": [{"name": "nothing"}]}
    api.users.create(instance_id, [eve])
    coffer.settle()
    calls: list[Callable[[], Any]] = [
        lambda: api.users.create(instance_id, [{"name": "bob", "password": kept.new("user who exists")}]),
        lambda: api.users.create(instance_id, [{"name": "eve", "password": kept.new("too long") * 20}]),
        lambda: api.users.create(instance_id, [{"name": "eve", "password": kept.new("a line") + "\n"}]),
        lambda: api.users.create(instance_id, [{"name": "eve", "password": [kept.new("a list")]}]),
        lambda: api.users.create(instance_id, [{"name": "eve", "pass": kept.new("unknown member")}]),
        lambda: api.users.create("no-such-instance", [{"name": "eve", "password": kept.new("nowhere")}]),
        lambda: api.users.change_passwords(
            instance_id, [{"name": "nobody", "password": kept.new("user who is not there")}]
        ),
        lambda: api.root.create_instance_root(instance_id, kept.new("root, too long") * 20),
        lambda: tenant.create("x", users={"pg_x": kept.new("reserved name")}),
        lambda: tenant.create("x", users={"eve": kept.new("in a creation") + "\0"}),
    ]
    for call in calls:
        with pytest.raises(Refused) as refusal:
            call()
        assert kept.found_in(str(refusal.value).encode()) == []
    for body in ('{{"users": [{{"password": "{}"', '{{"users": "{}"}}', '["{}"]', "{}"):
        answer = post(f"{coffer.url}/v1.0/acme{users}", body.format(kept.new(body)))
        assert kept.found_in(answer) == []
    coffer.kill_server(instance_id)
    with pytest.raises(Refused):
        api.users.create(instance_id, [{"name": "eve", "password": kept.new("server down")}])
    with pytest.raises(Refused):
        api.root.create_instance_root(instance_id, kept.new("root, server down"))


def break_in_the_middle(coffer: Standalone, kept: Secrets, instance_id: str) -> None:
    """Kill the control plane while it holds passwords."""
    tenant = Tenant(coffer.url)
    broken = tenant.create(databases=["shop"], users={"carol": kept.new("creation cut short")})
    wait_for((coffer.guest_dir(broken) / "data.new").exists, 60, "initdb to begin")
    coffer.kill_and_start()
    tenant = Tenant(coffer.url)
    tenant.wait_for_server(instance_id, "HEALTHY")
    tenant.api.users.create(instance_id, [{"name": "dave", "password": kept.new("user cut short")}])
    coffer.kill_and_start()


def post(url: str, body: str) -> bytes:
    """Post a body that no client would send; return the refusal."""
    request = urllib.request.Request(
        url, data=body.encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=30)
    with refusal.value as answer:
        return bytes(answer.read())


def files_with(kept: Secrets, root: Path) -> dict[str, list[str]]:
    """Return the names of the files below `root` that hold passwords, and which; the servers' data too."""
    found: dict[str, list[str]] = {}
    for path in root.rglob("*"):
        # A running server removes files while we walk.
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                uses = kept.found_in(path.read_bytes())
                if uses:
                    found[path.name] = uses
    return found
