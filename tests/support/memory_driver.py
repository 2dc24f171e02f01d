"""A datastore whose servers are dictionaries: the twin of a real engine, for tests of everything around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.support import memory_backup
from tests.support.memory_replication import PLACES, MemoryReplication, Standing

from coffer.catalogue.errors import (
    BadRequest,
    CofferError,
    DatabaseExists,
    GuestFailed,
    InvalidParameter,
    NotFound,
    UserExists,
)
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.datastore import Datastore
from coffer.datastores.driver import (
    ANY_HOST,
    Archive,
    Credentials,
    DatabaseSpec,
    Driver,
    Place,
    UserChanges,
    UserRow,
    UserSpec,
)
from coffer.datastores.parameters import Parameter
from coffer.datastores.postgresql.plugin import DATASTORE
from coffer.datastores.registry import Registry

MEMORY: Datastore = replace(DATASTORE, driver=f"{__name__}:driver_of")
"""PostgreSQL's names, versions and rules; the servers are in this process."""


@dataclass
class MemoryServer:
    """What a server has, and what was done to it."""

    databases: list[str] = field(default_factory=list)
    users: dict[str, UserSpec] = field(default_factory=dict)
    root_password: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the configuration group, as they are written down; the server runs with `running_parameters`."""
    running_parameters: dict[str, str] = field(default_factory=dict)
    ram_mib: int | None = None
    """The memory that the server was given; None: what its place says."""
    volume_gib: int | None = None
    """The same, of the volume."""
    used_bytes: int = 0
    is_read_only: bool = False
    is_prepared: bool = False
    standing: Standing = field(default_factory=Standing)
    status: ServiceStatus = ServiceStatus.NEW
    done: list[str] = field(default_factory=list)
    """Names of the driver's changing methods, in the order of their calls."""
    fails: dict[str, Exception] = field(default_factory=dict)
    """What a method raises instead of doing its work."""
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What is called before a method does its work."""


SERVERS: dict[str, MemoryServer] = {}
"""By instance id; a server outlives its agent, like a real one."""


def server_of(instance_id: str) -> MemoryServer:
    """Return the server of an instance, made at its first use."""
    return SERVERS.setdefault(instance_id, MemoryServer())


def registry() -> Registry:
    """Return the datastores on offer: this one."""
    return Registry([MEMORY])


def driver_of(place: Place) -> Driver:
    """Return the driver of an instance."""
    server = PLACES[place.address, place.port] = server_of(place.instance_id)
    return MemoryDriver(server, place)


class MemoryDriver(MemoryReplication):
    """A `Driver`."""

    _server: MemoryServer

    def __init__(self, server: MemoryServer, place: Place) -> None:
        self._server = server
        self._place = place

    # --- the server -------------------------------------------------------------------------------

    def is_prepared(self) -> bool:
        return self._server.is_prepared

    def prepare(self, databases: Sequence[DatabaseSpec], users: Sequence[UserSpec]) -> None:
        self._do("prepare")
        server = self._server
        if server.is_prepared:
            return
        server.databases += [each.name for each in databases if each.name not in server.databases]
        server.users |= {user.name: user for user in users}
        server.status = ServiceStatus.HEALTHY
        server.is_prepared = True

    def restore(self, archives: Sequence[Archive], *, is_given_up: Callable[[], bool]) -> None:
        self._do("restore")
        if is_given_up():
            raise GuestFailed(reason="The guest agent stopped in the middle of it.")
        content = memory_backup.restored(archives)
        self._server.databases, self._server.users = list(content.databases), dict(content.users)

    def back_up(
        self,
        sink: Callable[[bytes], object],
        *,
        parent_manifest: bytes | None,
        is_given_up: Callable[[], bool],
    ) -> bytes:
        self._do("back_up")
        self._require_running()
        if is_given_up():
            raise GuestFailed(reason="The guest agent stopped in the middle of it.")
        content = memory_backup.Content(tuple(self._server.databases), dict(self._server.users))
        archive, manifest = memory_backup.made(content, parent_manifest)
        sink(archive)
        return manifest

    def start(self) -> None:
        self._do("start")
        self._run()

    def stop(self) -> None:
        self._do("stop")
        self._server.status = ServiceStatus.SHUTDOWN

    def restart(self) -> None:
        self._do("restart")
        self._run()

    def status(self) -> ServiceStatus:
        return self._server.status

    def resize(self, ram_mib: int) -> None:
        self._do("resize")
        self._server.ram_mib = ram_mib
        self._run()

    def resize_volume(self, volume_gib: int) -> None:
        self._do("resize_volume")
        self._server.volume_gib = volume_gib
        self.keep_to_volume()

    def keep_to_volume(self) -> int | None:
        volume_gib = self._server.volume_gib or self._place.volume_gib
        share = 0.0 if volume_gib is None else self._server.used_bytes / (volume_gib * 2**30)
        self._server.is_read_only = share >= (0.90 if self._server.is_read_only else 0.95)
        return self._server.used_bytes

    def check_configuration(self, parameters: Mapping[str, str]) -> None:
        """Take what the version's own rules take: a server that is asked says the same of most values."""
        self._raise_or_wait("check_configuration")
        for name, text in parameters.items():
            parameter = self._offered().get(name)
            problem = "is unknown" if parameter is None else parameter.problem(text)
            if problem:
                raise InvalidParameter(reason=f"The server does not take it: {name} {problem}.")

    def apply_configuration(self, parameters: Mapping[str, str], *, is_restarting: bool = False) -> bool:
        self._do("apply_configuration")
        self.check_configuration(parameters)
        server = self._server
        server.parameters = dict(parameters)
        if is_restarting or server.status is not ServiceStatus.HEALTHY:
            return False
        changed = {name for name, _ in server.parameters.items() ^ server.running_parameters.items()}
        waiting = {name for name in changed if self._offered()[name].restart_required}
        for name in changed - waiting:
            server.running_parameters.pop(name, None)
        server.running_parameters |= {
            name: text for name, text in server.parameters.items() if name not in waiting
        }
        return bool(waiting)

    def tend(self) -> None: ...

    # --- what is in it ----------------------------------------------------------------------------

    def create_database(self, database: DatabaseSpec) -> None:
        self._do("create_database")
        self._require_running()
        if database.name in self._server.databases:
            raise DatabaseExists(name=database.name)
        self._server.databases.append(database.name)

    def delete_database(self, name: str) -> None:
        self._do("delete_database")
        self._require_running()
        self._require_database(name)
        self._server.databases.remove(name)
        for user in self._server.users.values():
            self._let(user, set(user.databases) - {name})

    def list_databases(self) -> list[str]:
        self._require_running()
        return sorted(self._server.databases)

    def create_user(self, user: UserSpec) -> None:
        self._do("create_user")
        self._require_running()
        for name in user.databases:
            self._require_database(name)
        if user.name in self._server.users:
            raise UserExists(name=user.name)
        self._server.users[user.name] = user

    def delete_user(self, name: str, host: str) -> None:
        self._do("delete_user")
        del self._server.users[self._user(name, host).name]

    def update_user(self, name: str, host: str, changes: UserChanges) -> None:
        self._do("update_user")
        user = self._user(name, host)
        if changes.host not in {None, ANY_HOST}:
            raise BadRequest(reason="Users of this server have no host.")
        new_name = changes.name or name
        if new_name != name and new_name in self._server.users:
            raise UserExists(name=new_name)
        del self._server.users[name]
        password = user.password if changes.password is None else changes.password
        self._server.users[new_name] = replace(user, name=new_name, password=password)

    def grant_access(self, name: str, host: str, database: str) -> None:
        self._do("grant_access")
        user = self._user(name, host)
        self._require_database(database)
        self._let(user, {*user.databases, database})

    def revoke_access(self, name: str, host: str, database: str) -> None:
        self._do("revoke_access")
        user = self._user(name, host)
        self._require_database(database)
        if database not in user.databases:
            raise NotFound(resource=f"Access of user {name} to database", id=database)
        self._let(user, set(user.databases) - {database})

    def list_users(self) -> list[UserRow]:
        self._require_running()
        return [self.get_user(name, ANY_HOST) for name in sorted(self._server.users)]

    def get_user(self, name: str, host: str) -> UserRow:
        user = self._user(name, host)
        return UserRow(name=user.name, host=user.host, databases=tuple(sorted(user.databases)))

    def list_access(self, name: str, host: str) -> list[str]:
        return sorted(self._user(name, host).databases)

    def enable_root(self, password: str | None) -> Credentials:
        self._do("enable_root")
        self._require_running()
        self._server.root_password = password or "made-by-the-driver"
        return Credentials(name="postgres", password=self._server.root_password)

    def disable_root(self) -> None:
        self._do("disable_root")
        self._require_running()
        self._server.root_password = None

    def is_root_enabled(self) -> bool:
        self._require_running()
        return self._server.root_password is not None

    # --- how --------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._server.running_parameters = dict(self._server.parameters)
        self._server.status = ServiceStatus.HEALTHY

    def _require_running(self) -> None:
        if self._server.status is not ServiceStatus.HEALTHY:
            raise GuestFailed(reason="The database server does not run.")

    def _require_database(self, name: str) -> None:
        if name not in self._server.databases:
            raise NotFound(resource="Database", id=name)

    def _user(self, name: str, host: str) -> UserSpec:
        self._require_running()
        if host != ANY_HOST:
            raise BadRequest(reason="Users of this server have no host.")
        if name not in self._server.users:
            raise NotFound(resource="User", id=name)
        return self._server.users[name]

    def _let(self, user: UserSpec, databases: set[str]) -> None:
        self._server.users[user.name] = replace(user, databases=tuple(sorted(databases)))

    def _offered(self) -> Mapping[str, Parameter]:
        return MEMORY.parameters(self._place.version)

    def _do(self, method: str) -> None:
        self._server.done.append(method)
        self._raise_or_wait(method)

    def _raise_or_wait(self, method: str) -> None:
        self._server.before.get(method, lambda: None)()
        failure = self._server.fails.get(method)
        if isinstance(failure, CofferError):
            raise type(failure)(**failure.data)
        if failure is not None:
            raise failure
