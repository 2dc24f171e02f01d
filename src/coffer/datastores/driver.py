"""The port through which a guest agent drives the database server beside it.

A driver knows its engine and its instance's directory, and nothing of messages, runs or tenants.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol

from coffer.catalogue.states import ServiceStatus

ANY_HOST = "%"
"""The host part of a user who may come from anywhere; the only one that engines without user hosts know."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the operator's machine has its engines, and as whom their files are first written.

    `bin_dirs` are searched before every other place. `engines_dir` receives copies of installations that an
    unprivileged user could not reach where they are. `initialising_account` is a named account: some tools
    refuse to run under a bare number. `reserve_bytes` of the disk are left to the other instances when data are copied.
    """

    engines_dir: Path
    bin_dirs: tuple[Path, ...] = ()
    initialising_account: str = "nobody"
    reserve_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """One instance as its driver sees it: where it lies, as whom it runs, where it listens, how big it is.

    `uid` and `gid` are bare numbers, or None where the server runs as the agent's own user.
    """

    instance_id: str
    version: str
    directory: Path
    address: str
    port: int
    ram_mib: int
    engines: EngineSettings
    volume_gib: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """A database that somebody asks for; None leaves the choice to the engine."""

    name: str
    character_set: str | None = None
    collate: str | None = None


@dataclass(frozen=True, slots=True)
class UserSpec:
    """A user that somebody asks for, and the databases that he may work in. The password is in no repr."""

    name: str
    password: str = field(repr=False)
    host: str = ANY_HOST
    databases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is to change of a user; None stays as it is. The password is in no repr."""

    name: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user that is there."""

    name: str
    host: str
    databases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the superuser logs in with. The password is in no repr."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Archive:
    """A backup to restore: the name it is told by, and its bytes as `Driver.back_up` made them."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a replica gets its data from, and what its administrator logs in with. Passwords are in no repr."""

    address: str
    port: int
    user: str
    password: str = field(repr=False)
    slot: str
    administrator_password: str = field(repr=False)


class Role(StrEnum):
    """What a server is to others: one that is written to, or one that has its data from another."""

    SOURCE = "source"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Replication:
    """How a server stands to others; `lsn` is the end of the log that it has, and grows."""

    role: Role
    lsn: int
    is_streaming: bool
    admitted: tuple[str, ...] = ()
    """For whom a source keeps anything: the ids of the replicas that it has admitted and not forgotten."""


class Driver(Protocol):
    """What every engine can do in the guest.

    Every method raises classes of `CofferError` only, with reasons that a tenant may read and that hold no
    secret: DatabaseExists, UserExists, NotFound (resource "Database" or "User"), BadRequest for what the
    engine cannot take, else GuestFailed. Reading methods may be called by several threads at once and while
    another one changes something; changing ones are called one at a time.
    """

    def is_prepared(self) -> bool:
        """Return whether `prepare` once came to its end."""

    def prepare(self, databases: Sequence[DatabaseSpec], users: Sequence[UserSpec]) -> None:
        """Make the server, start it, create what is asked for; goes on where a broken attempt ended."""

    def restore(self, archives: Sequence[Archive], *, is_given_up: Callable[[], bool]) -> None:
        """Make the data of the new server from a full backup and those that build on it; `prepare` goes on.

        Only the administrator's password becomes a new one. Raises BackupDamaged where they do not add up.
        """

    def back_up(
        self,
        sink: Callable[[bytes], object],
        *,
        parent_manifest: bytes | None,
        is_given_up: Callable[[], bool],
    ) -> bytes:
        """Write an archive of the running server's data into `sink`, piece by piece; return its manifest.

        With the manifest of another backup only what has changed since. The server goes on serving, and other
        methods may be called meanwhile, except for those that stop it.
        """

    def start(self) -> None:
        """Start the server, or adopt it when it runs already; returns when it takes connections."""

    def stop(self) -> None:
        """Stop the server, by force at last; idempotent. It stays stopped until `start`."""

    def restart(self) -> None:
        """Stop the server (if it runs) and start it."""

    def status(self) -> ServiceStatus:
        """Say how the server is, by asking it. Never raises."""

    def resize(self, ram_mib: int) -> None:
        """Restart the server with the memory of another flavor; if it does not come up, with the old one again."""

    def resize_volume(self, volume_gib: int) -> None:
        """Reckon with another size of the volume; the server goes on serving."""

    def keep_to_volume(self) -> int | None:
        """Return how many bytes the instance has on its volume, None if that cannot be found out.

        Makes the server read-only where they come near the size of the volume, and writable again where there is
        room; called every now and then, also while another method changes something.
        """

    def check_configuration(self, parameters: Mapping[str, str]) -> None:
        """Refuse parameters with which the server would not start; the server itself is not touched.

        Raises InvalidParameter.
        """

    def apply_configuration(self, parameters: Mapping[str, str], *, is_restarting: bool = False) -> bool:
        """Let the server run with these parameters, and its own otherwise, now and after every start.

        Returns whether some of them wait for a restart; if it `is_restarting`, nobody asks the server, which may be
        what is to be cured. Raises InvalidParameter; then everything is as before.
        """

    def tend(self) -> None:
        """Do the housekeeping that is due (logs that grew too large, a replica that cannot go on as it is).

        Called every now and then, never while another method changes something; may restart the server.
        """

    def admit_replica(self, replica_id: str) -> Source:
        """Make a role and a place in the log for a replica of this server; return what the replica needs.

        Done again, it gives a new password, and what was returned before counts no more; a stream goes on.
        """

    def dismiss_replica(self, replica_id: str) -> None:
        """End the stream to a replica, and forget it; idempotent."""

    def replicate(self, source: Source, *, is_given_up: Callable[[], bool]) -> None:
        """Make the server as a replica, start it, wait until it streams; goes on where a broken attempt ended.

        Raises GuestFailed where the source does not let it in.
        """

    def follow(self, source: Source) -> None:
        """Stream from this source from now on; idempotent.

        A running replica goes on running. Whatever else there is, a source too, becomes a replica: what it has and
        the new source has not is lost.
        """

    def demote(self) -> int:
        """Stop a source when its replicas were sent all it has; return the end of its log. Idempotent.

        It stays down until `start` makes it what it was, or `follow` a replica. Raises GuestFailed where it is down
        now without having ended cleanly.
        """

    def promote(self, lsn: int | None) -> None:
        """Make a replica a source, once it has everything up to `lsn`; a source stays one.

        It keeps its users and passwords, and knows no replica.
        """

    def detach(self) -> None:
        """Make a replica a source that has nothing to do with the one before; a source stays one."""

    def replication(self) -> Replication:
        """Say how the server stands to others, by asking it."""

    def create_database(self, database: DatabaseSpec) -> None:
        """Create a database that nobody may enter yet."""

    def delete_database(self, name: str) -> None:
        """Delete a database, even while somebody works in it."""

    def list_databases(self) -> list[str]:
        """Return the names of the tenant's databases, sorted."""

    def create_user(self, user: UserSpec) -> None:
        """Create a user with access to existing databases; wholly or not at all."""

    def delete_user(self, name: str, host: str) -> None:
        """Delete a user; what he owns goes to the administrator, his sessions end."""

    def update_user(self, name: str, host: str, changes: UserChanges) -> None:
        """Change the name, the password or the host of a user; wholly or not at all. He keeps what he may do."""

    def grant_access(self, name: str, host: str, database: str) -> None:
        """Let a user work in a database; idempotent."""

    def revoke_access(self, name: str, host: str, database: str) -> None:
        """Keep a user out of a database, his sessions in it end; NotFound if he could not enter it before."""

    def list_users(self) -> list[UserRow]:
        """Return the tenant's users, sorted by name."""

    def get_user(self, name: str, host: str) -> UserRow:
        """Return one of the tenant's users."""

    def list_access(self, name: str, host: str) -> list[str]:
        """Return the names of the databases that a user may enter, sorted."""

    def enable_root(self, password: str | None) -> Credentials:
        """Give the tenant the engine's superuser, with this password or a new one.

        Done again, it changes the password.
        """

    def disable_root(self) -> None:
        """Take the engine's superuser away from the tenant, his sessions end; idempotent."""

    def is_root_enabled(self) -> bool:
        """Return whether the tenant can log in as the engine's superuser."""


DriverFactory = Callable[[Place], Driver]
EngineFinder = Callable[[EngineSettings], frozenset[str]]
"""Returns the names of the datastore versions whose engine is on this machine."""
