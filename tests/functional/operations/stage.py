"""What the cases play on: a control plane, an instance that serves, one that never did, and ways to break them."""

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from tests.support.control_plane import DATABASE, PROJECT, ControlPlane
from tests.support.waiting import wait_for

from coffer.store import quotas
from coffer.store.tables import BACKUPS, CONFIGURATIONS, INSTANCES

DONE_S = 120.0
ASKED_S = 0.5
RESTARTED_S = 1.0
VOLATILE = frozenset({"updated_at", "service_seen_at", "service_status", "volume_used_bytes"})
"""Columns that the guests' signs of life change, and that any look at a row may."""


class Stage:
    """Made once for all cases; each leaves it as it found it."""

    def __init__(self, control: ControlPlane, instance_id: str) -> None:
        """Play on `control`; `instance_id` serves, with a database and a user."""
        self.control = control
        self.instance_id = instance_id
        self._names = iter(range(1_000_000))

    @property
    def path(self) -> str:
        """The instance that serves, as a path."""
        return f"/instances/{self.instance_id}"

    def name(self, word: str) -> str:
        """Return a name that nothing has yet."""
        return f"{word}{next(self._names)}"

    # --- calls --------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None, *, answers: int = 202) -> Any:
        """Make a call that is not the one under test; return its body."""
        status, answer = self.control.call(method, path, body)
        assert status == answers, (method, path, status, answer)
        return answer

    def done(self, method: str, path: str, body: object = None, *, answers: int = 202) -> Any:
        """The same, and wait until its runs have ended."""
        answer = self.call(method, path, body, answers=answers)
        self.wait_until_idle()
        return answer

    def wait_until_idle(self) -> None:
        """Wait until no run is open."""
        self.wait_for_all_but(set())

    def wait_for_all_but(self, run_ids: set[str]) -> None:
        """Wait until no run is open but perhaps these."""
        wait_for(
            lambda: {run.run_id for run in self.control.open_runs()} <= run_ids, DONE_S, "every run to end"
        )

    def wait_until_gone(self, path: str) -> None:
        """Wait until what a path names is not there any more."""
        wait_for(lambda: self.control.call("GET", path)[0] == 404, DONE_S, f"{path} to be gone")

    def state(self, instance_id: str | None = None) -> str:
        """Return what the API shows as the state of an instance."""
        return str(self.control.show(instance_id or self.instance_id)["status"])

    def fault(self, instance_id: str | None = None) -> str:
        """Return the sentence that the API shows as the fault of an instance."""
        return str(self.control.show(instance_id or self.instance_id)["fault"]["message"])

    # --- what cases need ----------------------------------------------------------------------------

    def database(self) -> str:
        """Make a database and return its name."""
        name = self.name("db")
        self.done("POST", f"{self.path}/databases", {"databases": [{"name": name}]})
        return name

    def user(self, password: str = "tiger") -> str:
        """Make a user, with access to the database of the instance, and return his name."""
        name = self.name("user")
        user = {"name": name, "password": password, "databases": [{"name": DATABASE}]}
        self.done("POST", f"{self.path}/users", {"users": [user]})
        return name

    def group(self, **values: object) -> str:
        """Make a configuration group and return its id."""
        asked = {
            "name": self.name("group"),
            "values": values or {"work_mem": "5MB"},
            "datastore": {"type": "postgresql", "version": "17"},
        }
        made = self.call("POST", "/configurations", {"configuration": asked}, answers=200)
        return str(made["configuration"]["id"])

    def attach(self, group_id: str | None) -> None:
        """Attach the instance to a group, or detach it."""
        self.call("PUT", self.path, {"instance": {"configuration": group_id}})

    def backup(self) -> str:
        """Have a backup made and return its id."""
        asked = {"name": self.name("backup"), "instance": self.instance_id, "incremental": 0}
        backup_id = str(self.done("POST", "/backups", {"backup": asked})["backup"]["id"])
        assert self.backup_state(backup_id) == "COMPLETED"
        return backup_id

    def backup_state(self, backup_id: str) -> str:
        """Return what the API shows as the state of a backup."""
        return str(self.call("GET", f"/backups/{backup_id}", answers=200)["backup"]["status"])

    def delete_backup(self, backup_id: str) -> None:
        """Delete a backup and wait until it is gone."""
        self.done("DELETE", f"/backups/{backup_id}")
        self.wait_until_gone(f"/backups/{backup_id}")

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance; nothing of it stays."""
        self.done("DELETE", f"/instances/{instance_id}")
        self.wait_until_gone(f"/instances/{instance_id}")
        assert not self.control.guest_dir(instance_id).exists()

    @cached_property
    def broken_id(self) -> str:
        """An instance that could not be made: in ERROR, without a server."""
        with self.cloud_without_books():
            made = self.done("POST", "/instances", {"instance": self.asked_instance()}, answers=200)
        assert self.state(made["instance"]["id"]) == "ERROR"
        return str(made["instance"]["id"])

    def asked_instance(self, **more: object) -> dict[str, object]:
        """Return the body of a creation."""
        return {
            "name": "made",
            "flavorRef": "1",
            "volume": {"size": 1},
            "datastore": {"type": "postgresql", "version": "17"},
            **more,
        }

    # --- the database server, from outside ----------------------------------------------------------

    def lets_in(self, user: str, password: str, database: str = DATABASE) -> bool:
        """Whether the server lets a user in."""
        row = self.control.row(self.instance_id)
        login = {"dbname": database, "user": user, "password": password}
        try:
            with psycopg.connect(host=row.host, port=row.port, connect_timeout=10, **login):
                return True
        except psycopg.OperationalError:
            return False

    def databases(self) -> set[str]:
        """Return the databases that the server has, by its own word."""
        with self.control.log_in(self.instance_id) as session:
            found = session.execute("select datname from pg_database where not datistemplate").fetchall()
        return {str(name) for (name,) in found}

    def users(self) -> set[str]:
        """Return the roles that may log in, by the server's own word."""
        with self.control.log_in(self.instance_id) as session:
            found = session.execute("select rolname from pg_roles where rolcanlogin").fetchall()
        return {str(name) for (name,) in found}

    def setting(self, name: str) -> str:
        """Return what a new session runs with."""
        return self.control.ask(self.instance_id, f"show {name}")

    # --- ways to break something --------------------------------------------------------------------

    @contextmanager
    def guest_away(self, instance_id: str | None = None) -> Iterator[None]:
        """Stop a guest agent; its server lives on. It is back after the block."""
        subject = instance_id or self.instance_id
        self.control.launcher.stop(subject)
        self.control.site.guest_timeouts_s.update(timeout_s=ASKED_S, restart_timeout_s=RESTARTED_S)
        try:
            yield
        finally:
            self.control.site.guest_timeouts_s.clear()
            self.control.launcher.launch(self.control.guest_dir(subject))
            self.control.wait_until_healthy(subject)

    def kill_server(self, instance_id: str | None = None) -> None:
        """Kill a database server; its agent lives on."""
        pid_file = self.control.guest_dir(instance_id or self.instance_id) / "data" / "postmaster.pid"
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _is_alive(pid), DONE_S, "the end of the server")

    def restart(self, instance_id: str | None = None) -> None:
        """Restart a server as its tenant does, whatever has become of it."""
        subject = instance_id or self.instance_id
        self.done("POST", f"/instances/{subject}/action", {"restart": {}})
        assert self.state(subject) == "ACTIVE"
        self.control.wait_until_healthy(subject)

    @contextmanager
    def port_taken(self) -> Iterator[None]:
        """Kill the server and be a stranger on its port."""
        port = self.control.row(self.instance_id).port
        self.kill_server()
        with closing(socket.socket()) as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", port))
            stranger.listen(1)
            yield

    @contextmanager
    def cloud_without_books(self) -> Iterator[None]:
        """Put a file where the cloud keeps its locks: it can neither make nor remove an instance."""
        with _file_in_place_of(self.control.cloud.layout.books):
            yield

    @contextmanager
    def storage_broken(self) -> Iterator[None]:
        """Put a file where the backups lie."""
        with _file_in_place_of(self.control.root / "backups"):
            yield

    @contextmanager
    def archive_unremovable(self, backup_id: str) -> Iterator[None]:
        """Put a file where one backup lies: what is no folder cannot be removed as one."""
        with _file_in_place_of(self.control.root / "backups" / backup_id):
            yield

    @contextmanager
    def full(self, table: str, change: str) -> Iterator[None]:
        """Let the control plane's database refuse a kind of change as a full disk does: in the database itself."""
        trigger = f"refuse_{uuid.uuid4().hex}"
        self._run_sql(
            f"create trigger {trigger} before {change} on {table}"
            " begin select raise(abort, 'no space is left'); end"
        )
        try:
            yield
        finally:
            self._run_sql(f"drop trigger {trigger}")

    @contextmanager
    def backup_under_way(self) -> Iterator[str]:
        """Have a backup made that does not come to its end before the block's; the server goes on serving."""
        pid = int(
            self._ask_as_administrator("select pid from pg_stat_activity where backend_type = 'checkpointer'")
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            asked = {"name": self.name("backup"), "instance": self.instance_id, "incremental": 0}
            backup_id = str(self.call("POST", "/backups", {"backup": asked})["backup"]["id"])
            wait_for(lambda: self.backup_state(backup_id) == "BUILDING", DONE_S, "the backup to begin")
            yield backup_id
        finally:
            os.kill(pid, signal.SIGCONT)
            self.wait_until_idle()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that a refused call must leave alone."""
        with self.control.database.reading() as tx:
            rows = {
                table.name: [
                    _stable(row) for row in tx.execute(table.select().order_by(table.c.id)).mappings()
                ]
                for table in (INSTANCES, CONFIGURATIONS, BACKUPS)
            }
            return {**rows, "quotas": quotas.usage(tx, PROJECT)}

    def _run_sql(self, statement: str) -> None:
        with self.control.database.writing() as tx:
            tx.exec_driver_sql(statement)

    def _ask_as_administrator(self, question: str) -> str:
        row = self.control.row(self.instance_id)
        secret = self.control.guest_dir(self.instance_id) / "admin.secret"
        with psycopg.connect(
            host=row.host, port=row.port, dbname="postgres", user="os_admin", password=secret.read_text()
        ) as session:
            (answer,) = session.execute(question).fetchone() or ("",)
        return str(answer)


def login_of(user: str) -> str:
    """Return a user as a path names him."""
    return f"{user}%40%25"


@contextmanager
def _file_in_place_of(path: Path) -> Iterator[None]:
    aside = path.with_name(f".{path.name}.aside")
    was_there = path.exists()
    if was_there:
        path.rename(aside)
    path.touch()
    try:
        yield
    finally:
        path.unlink()
        if was_there:
            aside.rename(path)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def _stable(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in VOLATILE}
