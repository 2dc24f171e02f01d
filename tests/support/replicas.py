"""A source and its replicas on real servers, and what a tenant's client sees of them."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from tests.support.archives import never
from tests.support.ports import free_port
from tests.support.tenants import log_in
from tests.support.waiting import wait_for

from coffer.datastores.driver import DatabaseSpec, Place, Source, UserSpec
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.server import Server

BOB = UserSpec("bob", "bob's", databases=("shop",))

NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]


@dataclass(frozen=True)
class Node:
    """One server of a family."""

    place: Place
    driver: PostgresqlDriver

    @property
    def id(self) -> str:
        return self.place.instance_id

    def add(self, word: str) -> None:
        with log_in(self.place, "bob", "bob's", "shop") as session:
            session.execute("insert into words values (%s)", (word,))

    def words(self) -> list[str]:
        with log_in(self.place, "bob", "bob's", "shop") as session:
            return [word for (word,) in session.execute("select word from words order by word")]

    def gets(self, *words: str) -> None:
        """Wait until these words, and no others, are there."""
        wait_for(lambda: self.words() == sorted(words), 20, f"the words {words} on a replica")

    def ask(self, question: str) -> list[object]:
        """Return the first column of what the administrator is answered."""
        with Server(self.place).session() as session:
            return [row[0] for row in session.execute(question).fetchall()]

    def replicas_known(self) -> list[object]:
        """Return the roles and slots of replicas."""
        return [
            *self.ask("select rolname from pg_roles where starts_with(rolname, 'os_replica_') order by 1"),
            *self.ask("select slot_name from pg_replication_slots order by 1"),
        ]


def source(new_driver: NewDriver, **changes: object) -> Node:
    """Make a server with a database, a user, a table and a word."""
    place, driver = new_driver(**changes)
    driver.prepare([DatabaseSpec("shop")], [BOB])
    with log_in(place, "bob", "bob's", "shop") as session:
        session.execute("create table words (word text)")
    node = Node(place, driver)
    node.add("a")
    return node


def replica(new_driver: NewDriver, of: Node, **changes: object) -> Node:
    """Make a replica of a server, which streams."""
    place, driver = new_driver(port=free_port(), version=of.place.version, **changes)
    driver.replicate(of.driver.admit_replica(place.instance_id), is_given_up=never)
    return Node(place, driver)


def follow(node: Node, new_source: Node) -> Source:
    """Let a server follow another one."""
    admitted = new_source.driver.admit_replica(node.id)
    node.driver.follow(admitted)
    return admitted


@dataclass
class Writer:
    """A client that writes numbers, one a transaction, and remembers those whose commit it was told of."""

    place: Place
    committed: list[int] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write for the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,), name="writer")
        thread.start()
        try:
            wait_for(lambda: len(self.committed) > 20, 20, "the writer")
            yield
        finally:
            stop.set()
            thread.join(20)

    def _run(self, stop: threading.Event) -> None:
        number = 0
        with contextlib.suppress(psycopg.Error), log_in(self.place, "bob", "bob's", "shop") as session:
            while not stop.is_set():
                session.execute("insert into numbers values (%s)", (number,))
                self.committed.append(number)
                number += 1
