"""PostgreSQL's driver: what the guest agent asks for, done by the files beside this one."""

from collections.abc import Sequence

from coffer.catalogue.errors import DatabaseExists, GuestFailed, UserExists
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Credentials, DatabaseSpec, Place, UserRow, UserSpec
from coffer.datastores.postgresql import databases as databases_sql
from coffer.datastores.postgresql import root
from coffer.datastores.postgresql import users as users_sql
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
        for database in databases:
            self._create_or_keep_database(database)
        for user in users:
            self._create_or_replace_user(user)
        try:
            self._server.layout.prepared_file.touch()
        except OSError as error:
            raise GuestFailed(reason="The instance's directory cannot be written.") from error

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

    def tend(self) -> None:
        """Keep the log within bounds."""
        self._server.tend()

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

    def is_root_enabled(self) -> bool:
        """Return whether the superuser `postgres` can log in."""
        return root.is_enabled(self._server)

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
