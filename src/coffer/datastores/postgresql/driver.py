"""PostgreSQL's driver: what the guest agent asks for, done by the files beside this one."""

from collections.abc import Callable, Mapping, Sequence

from coffer.catalogue.errors import DatabaseExists, GuestFailed, UserExists
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import (
    Archive,
    Credentials,
    DatabaseSpec,
    Place,
    Replication,
    Source,
    UserChanges,
    UserRow,
    UserSpec,
)
from coffer.datastores.postgresql import access as access_sql
from coffer.datastores.postgresql import admission, configuration, replication, root
from coffer.datastores.postgresql import databases as databases_sql
from coffer.datastores.postgresql import users as users_sql
from coffer.datastores.postgresql.backup import back_up
from coffer.datastores.postgresql.server import Patience, Server


class PostgresqlDriver:
    """Drives the server of one instance; see `coffer.datastores.driver.Driver` for each method."""

    def __init__(self, place: Place, patience: Patience | None = None) -> None:
        self._server = Server(place, patience)

    def is_prepared(self) -> bool:
        """Return whether `prepare` once came to its end."""
        return self._server.layout.prepared_file.exists()

    def prepare(self, databases: Sequence[DatabaseSpec], users: Sequence[UserSpec]) -> None:
        """Make the server from nothing, start it, create what is asked for."""
        if self.is_prepared():
            return
        self._server.initialise()
        self._server.start()
        databases_sql.close_own(self._server)
        with self._server.session() as session:
            # Those of the server whose backup was restored.
            admission.forget_all(session)
        for database in databases:
            self._create_or_keep_database(database)
        for user in users:
            self._create_or_replace_user(user)
        self._note_prepared()

    def restore(self, archives: Sequence[Archive], *, is_given_up: Callable[[], bool]) -> None:
        """Make the data directory from backups."""
        self._server.restore(archives, is_given_up=is_given_up)

    def back_up(
        self,
        sink: Callable[[bytes], object],
        *,
        parent_manifest: bytes | None,
        is_given_up: Callable[[], bool],
    ) -> bytes:
        """Write a base backup into `sink`."""
        return back_up(self._server, sink, parent_manifest=parent_manifest, is_given_up=is_given_up)

    def start(self) -> None:
        """Start the server or adopt it."""
        self._server.start()

    def stop(self) -> None:
        """Stop the server; it stays stopped."""
        self._server.stop()

    def restart(self) -> None:
        """Stop the server if it runs, start it."""
        self._server.restart()

    def status(self) -> ServiceStatus:
        """Say how the server is."""
        return self._server.status()

    def resize(self, ram_mib: int) -> None:
        """Restart the server with another memory."""
        self._server.resize(ram_mib)

    def resize_volume(self, volume_gib: int) -> None:
        """Reckon with another size of the volume."""
        self._server.resize_volume(volume_gib)

    def keep_to_volume(self) -> int | None:
        """Measure the volume, and make the server read-only or writable."""
        return self._server.keep_to_volume()

    def check_configuration(self, parameters: Mapping[str, str]) -> None:
        """Refuse parameters with which the server would not start."""
        configuration.check(self._server, parameters)

    def apply_configuration(self, parameters: Mapping[str, str], *, is_restarting: bool = False) -> bool:
        """Let the server run with these parameters."""
        return configuration.apply(self._server, parameters, is_restarting=is_restarting)

    def tend(self) -> None:
        """Keep the log within bounds, and a replica able to go on."""
        self._server.tend()
        replication.mend(self._server)

    def admit_replica(self, replica_id: str) -> Source:
        """Make a role and a slot for a replica."""
        return admission.admit(self._server, replica_id)

    def dismiss_replica(self, replica_id: str) -> None:
        """Drop the role and the slot of a replica."""
        admission.dismiss(self._server, replica_id)

    def replicate(self, source: Source, *, is_given_up: Callable[[], bool]) -> None:
        """Make the server as a replica, start it, wait until it streams."""
        if self.is_prepared():
            return
        replication.replicate(self._server, source, is_given_up=is_given_up)
        self._note_prepared()

    def follow(self, source: Source) -> None:
        """Stream from a source from now on."""
        replication.follow(self._server, source)

    def demote(self) -> int:
        """Stop a source when its replicas have everything."""
        return replication.demote(self._server)

    def promote(self, lsn: int | None) -> None:
        """Make a replica a source."""
        replication.promote(self._server, lsn)

    def detach(self) -> None:
        """Make a replica a source with an administrator's password of its own."""
        replication.detach(self._server)

    def replication(self) -> Replication:
        """Say how the server stands to others."""
        return replication.state(self._server)

    def create_database(self, database: DatabaseSpec) -> None:
        """Create a database."""
        databases_sql.create(self._server, database)

    def delete_database(self, name: str) -> None:
        """Delete a database."""
        databases_sql.delete(self._server, name)

    def list_databases(self) -> list[str]:
        """Return the names of the tenant's databases."""
        return databases_sql.names(self._server)

    def create_user(self, user: UserSpec) -> None:
        """Create a user."""
        users_sql.create(self._server, user)

    def delete_user(self, name: str, host: str) -> None:
        """Delete a user."""
        users_sql.delete(self._server, name, host)

    def update_user(self, name: str, host: str, changes: UserChanges) -> None:
        """Change a user."""
        users_sql.update(self._server, name, host, changes)

    def grant_access(self, name: str, host: str, database: str) -> None:
        """Let a user work in a database."""
        access_sql.let_in(self._server, name, host, database)

    def revoke_access(self, name: str, host: str, database: str) -> None:
        """Keep a user out of a database."""
        access_sql.keep_out(self._server, name, host, database)

    def list_users(self) -> list[UserRow]:
        """Return the tenant's users."""
        return users_sql.rows(self._server)

    def get_user(self, name: str, host: str) -> UserRow:
        """Return one user."""
        return users_sql.get(self._server, name, host)

    def list_access(self, name: str, host: str) -> list[str]:
        """Return the databases that a user may enter."""
        return list(users_sql.get(self._server, name, host).databases)

    def enable_root(self, password: str | None) -> Credentials:
        """Give the tenant the superuser `postgres`."""
        return root.enable(self._server, password)

    def disable_root(self) -> None:
        """Take the superuser `postgres` away."""
        root.disable(self._server)

    def is_root_enabled(self) -> bool:
        """Return whether the superuser `postgres` can log in."""
        return root.is_enabled(self._server)

    def _note_prepared(self) -> None:
        try:
            self._server.layout.prepared_file.touch()
        except OSError as error:
            raise GuestFailed(reason="The instance's directory cannot be written.") from error

    def _create_or_keep_database(self, database: DatabaseSpec) -> None:
        try:
            databases_sql.create(self._server, database)
        except DatabaseExists:
            # Of an attempt that broke: nothing else has created one on a server that is not prepared yet.
            databases_sql.finish(self._server, database.name)

    def _create_or_replace_user(self, user: UserSpec) -> None:
        try:
            users_sql.create(self._server, user)
        except UserExists:
            users_sql.replace(self._server, user)
