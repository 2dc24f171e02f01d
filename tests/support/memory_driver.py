"""A datastore whose servers are dictionaries: the twin of a real engine, for tests of everything around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from coffer.catalogue.errors import CofferError, DatabaseExists, NotFound, UserExists
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.datastore import Datastore
from coffer.datastores.driver import ANY_HOST, Credentials, DatabaseSpec, Driver, Place, UserRow, UserSpec
from coffer.datastores.postgresql.plugin import DATASTORE
from coffer.datastores.registry import Registry

MEMORY: Datastore = replace(DATASTORE, driver=f"{__name__}:driver_of")
"""PostgreSQL's names, versions and rules; the servers are in this process."""


@dataclass
class MemoryServer:
    """What a server has, and what was done to it."""

    databases: list[str] = field(default_factory=list)
    users: dict[str, UserSpec] = field(default_factory=dict)
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
    return MemoryDriver(server_of(place.instance_id))


class MemoryDriver:
    """A `Driver`."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def is_prepared(self) -> bool:
        return "prepare" in self._server.done

    def prepare(self, databases: Sequence[DatabaseSpec], users: Sequence[UserSpec]) -> None:
        self._do("prepare")
        self._server.databases = [database.name for database in databases]
        self._server.users = {user.name: user for user in users}
        self._server.status = ServiceStatus.HEALTHY

    def start(self) -> None:
        self._do("start")
        self._server.status = ServiceStatus.HEALTHY

    def stop(self) -> None:
        self._do("stop")
        self._server.status = ServiceStatus.SHUTDOWN

    def restart(self) -> None:
        self._do("restart")
        self._server.status = ServiceStatus.HEALTHY

    def status(self) -> ServiceStatus:
        return self._server.status

    def tend(self) -> None: ...

    def create_database(self, database: DatabaseSpec) -> None:
        self._do("create_database")
        if database.name in self._server.databases:
            raise DatabaseExists(name=database.name)
        self._server.databases.append(database.name)

    def delete_database(self, name: str) -> None:
        self._do("delete_database")
        if name not in self._server.databases:
            raise NotFound(resource="Database", id=name)
        self._server.databases.remove(name)

    def list_databases(self) -> list[str]:
        return sorted(self._server.databases)

    def create_user(self, user: UserSpec) -> None:
        self._do("create_user")
        if user.name in self._server.users:
            raise UserExists(name=user.name)
        self._server.users[user.name] = user

    def delete_user(self, name: str, host: str) -> None:
        self._do("delete_user")
        del self._server.users[self.get_user(name, host).name]

    def list_users(self) -> list[UserRow]:
        return [self.get_user(name, ANY_HOST) for name in sorted(self._server.users)]

    def get_user(self, name: str, host: str) -> UserRow:
        del host
        if name not in self._server.users:
            raise NotFound(resource="User", id=name)
        user = self._server.users[name]
        return UserRow(name=user.name, host=user.host, databases=user.databases)

    def list_access(self, name: str, host: str) -> list[str]:
        return sorted(self.get_user(name, host).databases)

    def enable_root(self, password: str | None) -> Credentials:
        return Credentials(name="postgres", password=password or "made-by-the-driver")

    def is_root_enabled(self) -> bool:
        return False

    def _do(self, method: str) -> None:
        server = self._server
        server.before.get(method, lambda: None)()
        server.done.append(method)
        failure = server.fails.get(method)
        if isinstance(failure, CofferError):
            raise type(failure)(**failure.data)
        if failure is not None:
            raise failure
