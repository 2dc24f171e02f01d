"""One PostgreSQL server: made, started, found again, asked how it is, stopped."""

import logging
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Archive, Place
from coffer.datastores.postgresql import process
from coffer.datastores.postgresql.archive import reachable
from coffer.datastores.postgresql.cluster import initialise
from coffer.datastores.postgresql.layout import Layout, write_whole
from coffer.datastores.postgresql.locator import Engine, locate
from coffer.datastores.postgresql.programs import IsGivenUp
from coffer.datastores.postgresql.reasons import readable, reason_from
from coffer.datastores.postgresql.restore import Restoration
from coffer.datastores.postgresql.rules import MAINTENANCE_DATABASE
from coffer.datastores.postgresql.session import Session, explained, open_session
from coffer.datastores.postgresql.settings import (
    pg_hba_conf,
    pinned_settings,
    postgresql_conf,
    server_settings,
)
from coffer.datastores.postgresql.standby import Standby
from coffer.datastores.postgresql.volume import Volume

LOG = logging.getLogger(__name__)

NOT_RUNNING: Final = "The database server of this instance is not running; restart the instance."
_LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step may take before the next, rougher one."""

    start_s: float = 150.0
    fast_stop_s: float = 30.0
    immediate_stop_s: float = 5.0
    kill_s: float = 5.0
    stream_s: float = 60.0
    receive_s: float = 60.0


class Server:
    """The server of one instance. Nothing here remembers a process: whoever comes later finds it."""

    def __init__(self, place: Place, patience: Patience | None = None) -> None:
        self.place = place
        self.layout = Layout(place)
        self.standby = Standby(self.layout)
        self._volume = Volume(self.layout)
        self.patience = patience or Patience()
        self._is_moving = False
        """Somebody starts or restarts it right now: being down is no crash."""

    def initialise(self) -> None:
        """Make the data directory unless there is one.

        Raises:
            GuestFailed: no engine, no space, no permission.
        """
        if self.layout.initialised():
            return
        engine = self.engine()
        self._make_admin_password()
        initialise(self.layout, engine, self.admin_password())
        LOG.info("data directory made instance_id=%s release=%s", self.place.instance_id, engine.release)

    def restore(self, archives: Sequence[Archive], *, is_given_up: IsGivenUp) -> None:
        """Make the data directory from backups, unless there is one.

        Raises:
            BackupDamaged: they do not add up.
            GuestFailed: no engine, no space, no permission.
        """
        if self.layout.initialised():
            return
        engine = self.engine()
        self._make_admin_password()
        with self.disk_explained():
            self.write_configuration()
        restoration = Restoration(self.layout, engine, is_given_up)
        restoration.run(archives, password=self.admin_password(), options=self.options())

    def start(self) -> None:
        """Start the server, or adopt the one that runs; return when it takes connections.

        Raises:
            GuestFailed: it ended, with its reason, or did not come up in time.
        """
        if not self.layout.initialised():
            raise GuestFailed(reason="The database server of this instance has not been set up.")
        self._is_moving = True
        try:
            self._start()
        finally:
            self._is_moving = False

    def stop(self) -> None:
        """Stop the server and leave it stopped; idempotent.

        Raises:
            GuestFailed: its processes survived even SIGKILL.
        """
        with self.disk_explained():
            self.layout.stopped_file.touch()
        self._stop()

    def restart(self) -> None:
        """Stop the server if it runs, start it.

        Raises:
            GuestFailed: see `start` and `stop`.
        """
        self._is_moving = True
        try:
            self._stop()
            self._start()
        finally:
            self._is_moving = False

    def resize(self, ram_mib: int) -> None:
        """Restart the server with the memory of another flavor; what does not come up gets its old memory back.

        Raises:
            GuestFailed: it did not come up with the new memory; it runs with the old one, if it can.
        """
        before = self.place
        self.place = replace(before, ram_mib=ram_mib)
        if self._is_as_configured():
            return
        try:
            self.restart()
        except GuestFailed as error:
            LOG.warning("resize taken back instance_id=%s reason=%s", before.instance_id, error)
            self.place = before
            self.restart()
            raise

    def resize_volume(self, volume_gib: int) -> None:
        """Let the server reckon with another size of its volume.

        Raises:
            GuestFailed: its configuration could not be written.
        """
        self.place = replace(self.place, volume_gib=volume_gib)
        if self.layout.conf_dir.is_dir():
            with self.disk_explained():
                self.write_configuration()
            process.reload(self.layout)
        self.keep_to_volume()

    def keep_to_volume(self) -> int | None:
        """Measure what is on the volume, make the server read-only or writable; return the bytes, if known.

        Raises:
            GuestFailed: its configuration could not be written.
        """
        used_bytes = self._volume.used_bytes()
        if used_bytes is not None:
            with self.disk_explained():
                self._volume.keep(used_bytes, self.place.volume_gib)
        return used_bytes

    def status(self) -> ServiceStatus:
        """Ask the server how it is; never raises for what is wrong with it."""
        if not self.layout.initialised():
            return ServiceStatus.NEW
        if process.find(self.layout) is not None and self._answers():
            return ServiceStatus.HEALTHY
        if self._is_moving or self.layout.stopped_file.exists():
            return ServiceStatus.SHUTDOWN
        return ServiceStatus.CRASHED if process.find(self.layout) is None else ServiceStatus.UNKNOWN

    def tend(self) -> None:
        """Cut the log when it grew too large."""
        self.layout.trim(self.layout.log_file, limit_bytes=_LOG_LIMIT_BYTES)

    @contextmanager
    def session(self, database: str = MAINTENANCE_DATABASE) -> Iterator[Session]:
        """Open a session of the administrator; what the server refuses inside becomes a GuestFailed.

        Raises:
            GuestFailed: the server does not run, does not answer, or refused a statement.
        """
        try:
            session = self._open(database)
        except psycopg.Error as error:
            if process.find(self.layout) is None:
                raise GuestFailed(reason=NOT_RUNNING) from None
            said = readable(str(error).splitlines()[0], self.place)
            raise GuestFailed(reason=f"The database server does not take connections: {said}.") from None
        with explained(self.place), session:
            yield session

    def _start(self) -> None:
        limits = self._limits()
        try:
            self._launch_or_adopt()
        except GuestFailed:
            # What a replica replayed until it failed can have told it greater limits of its source.
            if self._limits() == limits:
                raise
            self._launch_or_adopt()
        self.layout.stopped_file.unlink(missing_ok=True)

    def _limits(self) -> Mapping[str, int]:
        return {} if self.standby.link() is None else self.standby.limits(self.engine())

    def _launch_or_adopt(self) -> None:
        child: process.Child | None = None
        log_size = self.layout.size_of(self.layout.log_file)
        if process.find(self.layout) is None:
            self._clear_remains()
            engine = self.engine()
            with self.disk_explained():
                self.write_configuration()
                more = self.standby.make_ready(engine, self.options())
                child = process.spawn(self.layout, [*self._command(engine), *more])
            LOG.info("server started instance_id=%s pid=%d", self.place.instance_id, child.pid)
        else:
            LOG.info("server adopted instance_id=%s", self.place.instance_id)
        try:
            self._wait_until_it_answers(child, log_size)
        finally:
            process.close(child.stderr if child else None)

    def _wait_until_it_answers(self, child: process.Child | None, log_size: int) -> None:
        def settled() -> bool:
            found = process.find(self.layout)
            if found is not None:
                return found.is_ready and self._answers()
            return child is None or child.poll() is not None

        in_time = process.wait_for(settled, self.patience.start_s)
        if process.find(self.layout) is None:
            output = self.layout.read_tail(self.layout.log_file, from_byte=log_size)
            if child is not None and child.poll() is not None and child.stderr is not None:
                output = child.stderr.read().decode(errors="replace") + output
            reason = reason_from(output, self.place)
            raise GuestFailed(reason=f"The database server did not start: {reason}.")
        if not in_time:
            limit = f"{self.patience.start_s:.0f} s"
            raise GuestFailed(reason=f"The database server did not take connections within {limit}.")

    def _clear_remains(self) -> None:
        """Bury what a killed postmaster left: children that have not noticed yet, a misleading pid file."""
        if not process.wait_for(lambda: not process.members(self.layout), self.patience.immediate_stop_s):
            self._kill()
        # Its number may belong to somebody else by now; then the server would refuse to start.
        with self.disk_explained():
            (self.layout.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _stop(self) -> None:
        steps = (
            (signal.SIGINT, self.patience.fast_stop_s),
            (signal.SIGQUIT, self.patience.immediate_stop_s),
        )
        for signal_number, timeout_s in steps:
            found = process.find(self.layout)
            if found is None:
                break
            process.send(found.pid, signal_number, self.layout)
            process.wait_for(lambda: process.find(self.layout) is None, timeout_s)
        self._kill()

    def _kill(self) -> None:
        if not process.kill_all(self.layout, self.patience.kill_s):
            raise GuestFailed(reason="The database server's processes cannot be ended.")

    def _answers(self) -> bool:
        try:
            with self._open(MAINTENANCE_DATABASE) as session:
                session.execute("select 1")
        except (psycopg.Error, GuestFailed):
            return False
        return True

    def engine(self) -> Engine:
        """Return the installation that the server runs from.

        Raises:
            GuestFailed: it is not on this machine.
        """
        engine = locate(self.place.version, self.place.engines)
        if self.place.uid is None:
            return engine
        return replace(engine, bin_dir=reachable(engine.bin_dir, self.place.engines.engines_dir))

    def _is_as_configured(self) -> bool:
        """Return whether the server runs, and was started with what it would be started with now."""
        try:
            written = (self.layout.conf_dir / "postgresql.conf").read_text(encoding="utf-8")
        except OSError:
            return False
        return written == self._configuration() and self.status() is ServiceStatus.HEALTHY

    def _configuration(self) -> str:
        place = self.place
        return postgresql_conf(
            server_settings(version=place.version, ram_mib=place.ram_mib, volume_gib=place.volume_gib)
        )

    def write_configuration(self) -> None:
        """Write the configuration files.

        Raises:
            OSError.
        """
        place, layout = self.place, self.layout
        layout.make_own(layout.log_dir)
        layout.make_conf()
        layout.write_conf("postgresql.conf", self._configuration())
        layout.write_conf("pg_hba.conf", pg_hba_conf(place.address))
        layout.write_conf("pg_ident.conf", "")

    def _command(self, engine: Engine) -> list[str]:
        return [engine.tool("postgres"), "-D", str(self.layout.data_dir), *self.options()]

    def options(self) -> list[str]:
        """Return what the server's program is told on its command line."""
        pinned = pinned_settings(
            conf_dir=self.layout.conf_dir, address=self.place.address, port=self.place.port
        )
        return [word for name, value in pinned.items() for word in ("-c", f"{name}={value}")]

    def _make_admin_password(self) -> None:
        with self.disk_explained():
            # The password is on disk before the server that wants it exists: a crash between loses nothing.
            write_whole(self.layout.admin_file, secrets.token_urlsafe(32))
            self.layout.make_own(self.layout.log_dir)

    def expect_admin_password(self, password: str) -> None:
        """Reckon with another password of the administrator: the first one that opens the server counts.

        Raises:
            GuestFailed: it cannot be written.
        """
        with self.disk_explained():
            if not self.layout.admin_file.exists():
                write_whole(self.layout.admin_file, password)
            elif password == self.admin_password():
                self.layout.next_admin_file.unlink(missing_ok=True)
            else:
                write_whole(self.layout.next_admin_file, password)

    def _open(self, database: str) -> Session:
        """Log in as the administrator.

        Raises:
            psycopg.Error: no server, or it does not let us in.
            GuestFailed: the password is lost.
        """
        try:
            return open_session(self.place, self.admin_password(), database)
        except psycopg.Error:
            if not self.layout.next_admin_file.exists():
                raise
            session = open_session(self.place, self._secret(self.layout.next_admin_file), database)
        with suppress(FileNotFoundError):  # another thread was faster
            self.layout.next_admin_file.replace(self.layout.admin_file)
        return session

    def admin_password(self) -> str:
        """Return the password of the administrator.

        Raises:
            GuestFailed: it is lost.
        """
        return self._secret(self.layout.admin_file)

    @staticmethod
    def _secret(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise GuestFailed(reason="The administrator's password of this instance is lost.") from error

    @contextmanager
    def disk_explained(self) -> Iterator[None]:
        """Turn what the disk refuses into a reason.

        Raises:
            GuestFailed: instead of any OSError.
        """
        try:
            yield
        except OSError as error:
            said = readable(error.strerror or type(error).__name__, self.place)
            raise GuestFailed(reason=f"The instance's directory cannot be used: {said}.") from error
