"""A private MariaDB server for tests: loopback, a free port, a scratch directory, an unprivileged user.

It is the control plane's database. `kill_and_restart` crashes it on purpose.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.constants import CLIENT
from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

START_TIMEOUT_S = 60
_FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/libexec")
_SETTINGS = {
    "bind-address": "127.0.0.1",
    "character-set-server": "latin1",  # so that whatever coffer needs it must ask for
    "innodb-buffer-pool-size": "32M",
    "innodb-log-file-size": "16M",
    "innodb-fast-shutdown": "2",
    # The tests crash the server, never the machine: what is committed must be with the kernel.
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-flush-method": "nosync",
    "innodb-doublewrite": "0",
    "max-connections": "200",
    "performance-schema": "OFF",
    "skip-name-resolve": "1",
    "skip-log-bin": "1",
    "sql-mode": "",  # as above
}


class MariadbServer:
    """A running server; `url` names a database on it, `admin` is an autocommit connection for the test itself."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = {**_SETTINGS, **settings}
        self._identity = _identity()
        self._tls = folder / "tls"
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._spare: list[str] = []
        self._known: dict[str, list[str]] = {}
        self.password = secrets.token_hex(16)
        self._admin_password = secrets.token_hex(16)
        self.port = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def url(self, database: str) -> str:
        """The URL of an account that may do everything in the tests' databases, and nothing else."""
        return f"mysql://coffer:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def _scratch(self) -> Path:
        """For temporary tables, and for this server alone: when it starts, it deletes all those that it finds."""
        return self._folder / "tmp"

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": str(self._scratch)}

    @property
    def ca_file(self) -> Path:
        """Whom to trust to know this server."""
        return self._tls / "ca.pem"

    def initialise(self) -> None:
        """Make the data directory, and what the server is told when it starts: who may log in."""
        self.data.mkdir(mode=0o700)
        owner = (self._identity["user"], self._identity["group"]) if self._identity else None
        Authority(self._tls).issue("mariadb", owner=owner)
        init = self._folder / "init.sql"
        init.touch(mode=0o600)
        init.write_text(
            f"CREATE USER IF NOT EXISTS admin@'127.0.0.1' IDENTIFIED BY '{self._admin_password}';\n"
            "GRANT ALL PRIVILEGES ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
            f"CREATE USER IF NOT EXISTS coffer@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL PRIVILEGES ON `test\\_%`.* TO coffer@'127.0.0.1';\n"
            "DELETE FROM mysql.global_priv WHERE user IN ('root', '');\nFLUSH PRIVILEGES;\n"
        )
        self._scratch.mkdir(mode=0o700)
        for path in (self.data, self._scratch, init):
            if self._identity:
                os.chown(path, self._identity["user"], self._identity["group"])
        done = subprocess.run(
            [
                str(_program("mariadb-install-db")),
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--innodb-flush-method=nosync",
            ],
            cwd="/",
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=START_TIMEOUT_S,
            **self._identity,  # type: ignore[call-overload]  # user= and group=, or neither
        )
        if done.returncode:
            raise RuntimeError(
                f"mariadb-install-db failed: {(done.stdout + done.stderr).decode(errors='replace')}"
            )

    def start(self) -> None:
        """Start on a free port (the same again after a crash) and wait until it answers.

        Raises:
            RuntimeError: if it does not; with what it wrote.
        """
        self.port = self.port or free_port()
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        tls = [f"--ssl-cert={self._tls}/mariadb.pem", f"--ssl-key={self._tls}/mariadb.key"]
        own = [f"--datadir={self.data}", f"--socket={self.data}/socket", f"--pid-file={self.data}/pid"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(_program("mariadbd")),
                    "--no-defaults",
                    *own,
                    *tls,
                    f"--port={self.port}",
                    f"--init-file={self._folder}/init.sql",
                    *settings,
                ],
                cwd="/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._identity,  # type: ignore[call-overload]  # user= and group=, or neither
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server by its process id, and wait for it. Nothing here is worth a clean shutdown."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def kill_and_restart(self) -> None:
        """Crash the server and let it recover on the same port."""
        self.stop(signal.SIGKILL)
        self.start()

    @contextmanager
    def admin(self, database: str | None = None) -> Iterator[Connection]:
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="admin",
            password=self._admin_password,
            database=database,
            autocommit=True,
            connect_timeout=5,
            ssl_disabled=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )
        try:
            yield connection
        finally:
            connection.close()

    def run(self, *statements: str, database: str | None = None) -> tuple[tuple[object, ...], ...]:
        """Execute statements as the administrator; return the rows of the last."""
        with self.admin(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def create_database(self) -> str:
        """Make a new database and return its name."""
        self._count += 1
        name = f"test_{self._count}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def copy_database(self, source: str) -> str:
        """Return the name of a database with the tables of another, empty; one that was given back, if there is one.

        To make ten tables takes 50 ms, to empty them 2 ms.
        """
        if self._spare:
            return self._spare.pop()
        name = self.create_database()
        script = [f"CREATE TABLE {table} LIKE {source}.{table}" for table in self.tables(source)]
        self._run_script(
            name, [*script, f"INSERT INTO alembic_version SELECT * FROM {source}.alembic_version"]
        )
        return name

    def give_back(self, name: str, source: str) -> None:
        """Empty a copy of `source` for the next who wants one. A test that changes tables makes a database."""
        self._disconnect(name)
        script = [f"DELETE FROM {table}" for table in self.tables(source)]
        script.append(f"INSERT INTO alembic_version SELECT * FROM {source}.alembic_version")
        self._run_script(name, [*script, "DROP TRIGGER IF EXISTS refusal"])
        self._spare.append(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._disconnect(name)
        self.run(f"DROP DATABASE {name}")

    def tables(self, name: str) -> list[str]:
        if name not in self._known:
            self._known[name] = [str(row[0]) for row in self.run(f"SHOW TABLES FROM {name}")]
        return self._known[name]

    def _run_script(self, database: str, statements: list[str]) -> None:
        with self.admin(database) as connection, connection.cursor() as cursor:
            cursor.execute(";".join(statements))
            while cursor.nextset():
                pass

    def _disconnect(self, name: str) -> None:
        sessions = self.run(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for (session,) in sessions:
            with suppress(pymysql.err.OperationalError):  # it has ended by itself
                self.run(f"KILL {session}")

    def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"MariaDB did not start: {(self._folder / 'log').read_text()}")
            with suppress(pymysql.err.OperationalError), self.admin():
                return True
            return False

        wait_for(answers, START_TIMEOUT_S, "MariaDB to answer")


def read(url: str, query: str) -> list[tuple[Any, ...]]:
    """Ask a database, as the account of its URL, and return the rows."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 0,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.strip("/"),
        ssl_disabled=True,
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        connection.close()


@contextmanager
def running_mariadb(**settings: str) -> Iterator[MariadbServer]:
    """Run a server of its own until the block ends; nothing stays behind. `settings` are options of mariadbd."""
    require_mariadb()
    with scratch() as folder:
        server = MariadbServer(folder, {name.replace("_", "-"): value for name, value in settings.items()})
        server.initialise()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def require_mariadb() -> None:
    """Skip where MariaDB's server is not installed; fail where that must not happen (CI)."""
    missing = [name for name in ("mariadbd", "mariadb-install-db") if _found(name) is None]
    if not missing:
        return
    message = f"{' and '.join(missing)} not found (apt: mariadb-server-core mariadb-client-core)"
    if os.environ.get("CI"):
        pytest.fail(f"MariaDB is needed: {message}")
    pytest.skip(message)


def _found(name: str) -> str | None:
    return shutil.which(name, path=":".join(_FOLDERS))


def _program(name: str) -> str:
    found = _found(name)
    assert found is not None, name
    return found


def _identity() -> dict[str, int]:
    """Say as whom the server runs: it refuses to be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}
