"""The story: what a tenant does in a busy week, told chapter by chapter with the real client."""

import json
import secrets
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import psycopg
from keystoneauth1 import noauth, session
from rich.console import Console

from demo.client import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # python-troveclient imports eventlet, which announces its end
    from troveclient.v1 import client

USER = "alice"
DATABASE = "shop"
WAIT_S = 90


class Story:
    """One tenant with the client, a database user and his password; instances go by the names he gave them."""

    def __init__(self, openstack: Client, console: Console) -> None:
        """Act through `openstack` and tell on `console`."""
        self._openstack = openstack
        self._console = console
        self._password = secrets.token_urlsafe(12)
        api = session.Session(auth=noauth.NoAuth(endpoint=openstack.endpoint))
        self._trove = client.Client(
            session=api, endpoint_override=openstack.endpoint, service_type="database"
        )
        self._ids: dict[str, str] = {}

    def tell(self) -> None:
        """Tell all of it."""
        self._create()
        self._two_databases()
        self._refusal()
        self._configure()
        self._resize()
        self._replicate()
        self._back_up_and_restore()
        self._restart()
        self._delete()

    def _create(self) -> None:
        self._chapter("an instance with a database and a user")
        self._make(
            "books",
            *("--flavor", "1", "--size", "1", "--datastore", "postgresql"),
            *("--databases", DATABASE, "--users", f"{USER}:{self._password}"),
        )
        self._write_a_row("books")

    def _two_databases(self) -> None:
        """Create two databases in one call: python-troveclient can, the command line makes a call for each."""
        self._chapter("two databases in one call: two runs")
        self._say(">>> client.databases.create(instance, [{'name': 'orders'}, {'name': 'stock'}])")
        books = self._ids["books"]
        self._trove.databases.create(books, [{"name": "orders"}, {"name": "stock"}])
        wanted = {"orders", "stock"}
        wait_for(lambda: wanted <= {each.name for each in self._trove.databases.list(books)}, "databases")

    def _refusal(self) -> None:
        self._chapter("a call that must fail: the database is there already")
        refusal = self._openstack.run("db", "create", self._ids["books"], "orders", fails=True)
        self._console.print(f"refused: {refusal}", style="red")

    def _configure(self) -> None:
        self._chapter("a configuration group, attached to the running server")
        group = self._made("configuration", "create", "sorting", '{"work_mem": 12288}')
        self._openstack.run("configuration", "attach", self._ids["books"], group)
        self._console.print(f"the server says: work_mem is {self._ask('books', 'SHOW work_mem')}")

    def _resize(self) -> None:
        self._chapter("another flavor, a larger volume: each is on the bill from that second on")
        before = self._ask("books", "SHOW shared_buffers")
        self._openstack.run("instance", "resize", "flavor", self._ids["books"], "2")
        self._wait_until_active("books")
        after = self._ask("books", "SHOW shared_buffers")
        self._console.print(f"the server says: shared_buffers was {before}, and is {after}")
        self._openstack.run("instance", "resize", "volume", self._ids["books"], "2")
        self._wait_until_active("books")

    def _replicate(self) -> None:
        self._chapter("a replica, and then it takes the lead")
        self._make("mirror", "--replica-of", self._ids["books"])
        self._write_a_row("books")
        wait_for(lambda: self._rows("mirror") == self._rows("books"), "the row on the replica")
        self._console.print(f"the replica has them too: {self._rows('mirror')} rows")
        self._openstack.run("instance", "promote", self._ids["mirror"])
        self._wait_until_active("mirror")
        self._write_a_row("mirror")
        wait_for(lambda: self._rows("books") == self._rows("mirror"), "the row on the source of before")
        self._console.print(f"books follows mirror now: {self._rows('books')} rows")

    def _back_up_and_restore(self) -> None:
        self._chapter("a backup, a mishap, and a new instance from the backup")
        backup = self._made("backup", "create", "evening", "--instance", self._ids["mirror"])
        wait_for(lambda: self._backup_status(backup) == "COMPLETED", "the backup")
        self._wait_until_active("mirror")
        with self._connected("mirror") as connection:
            connection.execute("DROP TABLE sales")
        self._console.print(f"{USER} has dropped the table")
        self._make("again", "--flavor", "1", "--size", "2", "--datastore", "postgresql", "--backup", backup)
        self._console.print(f"in the new instance it is: {self._rows('again')} rows")
        self._openstack.run("backup", "delete", backup)

    def _restart(self) -> None:
        self._chapter("restart")
        self._openstack.run("instance", "restart", self._ids["again"])
        self._wait_until_active("again")
        self._write_a_row("again")

    def _delete(self) -> None:
        self._chapter("delete, the replica before its source")
        # A configuration group that is in use stays, and so does a source that has a replica.
        for name in ("books", "mirror", "again"):
            self._openstack.run("instance", "delete", self._ids[name])
            self._wait_until_gone(name)
        self._openstack.run("configuration", "delete", "sorting")

    def _chapter(self, title: str) -> None:
        self._console.print()
        self._console.rule(title, align="left")

    def _say(self, line: str) -> None:
        self._console.print(f"\n{line}", style="bold")

    def _make(self, name: str, *words: str) -> None:
        """Create an instance and wait until it serves."""
        created = self._openstack.run("instance", "create", name, *words, "-f", "json", secret=self._password)
        self._ids[name] = json.loads(created)["id"]
        self._wait_until_active(name)

    def _made(self, *words: str) -> str:
        """Create something else and return its id."""
        return str(json.loads(self._openstack.run(*words, "-f", "json"))["id"])

    def _wait_until_active(self, name: str) -> None:
        """Wait for ACTIVE, or end the demo with what went wrong."""

        def settled() -> bool:
            return self._shown(name)["status"] in {"ACTIVE", "ERROR"}

        wait_for(settled, f"{name} to become ACTIVE")
        shown = self._shown(name)
        if shown["status"] != "ACTIVE":
            sys.exit(f"{name} is {shown['status']}: {shown.get('fault')}")
        self._console.print(f"{name} is ACTIVE", style="dim")

    def _shown(self, name: str) -> dict[str, Any]:
        return dict(self._trove.instances.get(self._ids[name]).to_dict())

    def _wait_until_gone(self, name: str) -> None:
        wait_for(
            lambda: self._ids[name] not in {each.id for each in self._trove.instances.list()},
            f"the deletion of {name}",
        )

    def _backup_status(self, backup_id: str) -> str:
        return str(self._trove.backups.get(backup_id).status)

    def _write_a_row(self, name: str) -> None:
        """Connect to the real server as the tenant's user, write a row and count all of them."""
        with self._connected(name) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sales (id serial, sold_at timestamptz DEFAULT now())"
            )
            connection.execute("INSERT INTO sales DEFAULT VALUES")
        version = str(self._ask(name, "SELECT version()")).split(" on ")[0]
        self._console.print(f"{USER} wrote a row over SQL; {self._rows(name)} in the table now. {version}")

    def _rows(self, name: str) -> int:
        return int(self._ask(name, "SELECT count(*) FROM sales"))

    def _ask(self, name: str, question: str) -> Any:
        with self._connected(name) as connection:
            row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]

    def _connected(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as the tenant's user, to where the API says that the instance listens."""
        shown = self._shown(name)
        return psycopg.connect(
            host=shown["ip"][0],
            port=shown["port"],
            dbname=DATABASE,
            user=USER,
            password=self._password,
        )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` is true."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {WAIT_S} s for {what} in vain")
        time.sleep(0.1)
