"""Both ends of a guest's sealed channel in one process: a database, a broker, a directory for each guest."""

import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tests.support.rabbitmq import RabbitNode
from tests.support.rows import new_instance

from coffer.catalogue.operations import ServerType
from coffer.conductor.door import Door
from coffer.conductor.reports import Reports
from coffer.guestagent.channel_book import GuestBook
from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.emitter import Emitter
from coffer.lifecycle.guest_channels import GuestChannels, new_secret
from coffer.lifecycle.runs import Lifecycle
from coffer.store import guest_channels, instances, migrate
from coffer.store.database import Database
from coffer.store.instances import Instance
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import TroveContext
from coffer.wire.contracts import GUEST_SERVER, guest_contract
from coffer.wire.guest_access import GuestAccess
from coffer.wire.guest_client import GuestClient
from coffer.wire.sealed.book import BookUnavailableError
from coffer.wire.sealed.control import SealedTransport
from coffer.wire.sealed.credentials import FILE_NAME, Credentials
from coffer.wire.sealed.guest_link import GuestLink

SEND_S = 3.0


@dataclass
class Endpoint:
    """What stands for an agent's endpoint: it notes what it is asked, and answers what a test says."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], Any] = lambda _method, _args: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def called(_ctx: TroveContext, **args: Any) -> Any:
            with self._lock:
                self.asked.append((method, args))
            return self.answer(method, args)

        return called

    def names(self, method: str = "delete_database") -> list[Any]:
        """Return the argument `name` of every call of a method, in order of arrival."""
        with self._lock:
            return [args.get("name") for asked, args in self.asked if asked == method]


class Hesitating(GuestChannels):
    """A book that cannot say a few times which keys there are, as when its database is restarted."""

    failures = 2

    def key(self, instance_id: str, key_id: int) -> bytes | None:
        if self.failures:
            self.failures -= 1
            raise BookUnavailableError("the database is away")
        return super().key(instance_id, key_id)


class SealedPlane:
    """A control plane's end, and as many guests' as a test makes; `with` closes them all."""

    def __init__(self, node: RabbitNode, root: Path) -> None:
        """Use a broker; names of queues are of this plane only."""
        self.root = root
        self.cleanup = ExitStack()
        url = f"sqlite:///{root / 'coffer.db'}"
        migrate.upgrade(url)
        self.database = Database(url)
        self.cleanup.callback(self.database.close)
        self.access = GuestAccess(f"{uuid.uuid4().hex[:8]}.")
        self.settings = AmqpSettings(
            hosts=(AmqpHost("127.0.0.1", node.port, node.user, node.password),),
            virtual_host="/",
            exchange="trove",
            timeout_s=2.0,
        )
        self.book = GuestChannels(self.database, [new_secret()])
        self.transport = self.sealed_transport()
        self.door: Door | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.cleanup.close()

    def sealed_transport(self) -> SealedTransport:
        """Return the end of another process of the control plane."""
        made = SealedTransport(self.settings, self.book, self.access, send_timeout_s=SEND_S)
        self.cleanup.callback(made.close)
        return made

    def lifecycle(self) -> Lifecycle:
        """Return the conductor's."""
        emitter = Emitter(ServerType.CONDUCTOR, "control-1", "127.0.0.1:0", "conductor-1")
        return Lifecycle(self.database, Announcer(emitter))

    def open_door(self, *, reports: Reports | None = None) -> Door:
        """Start a conductor."""
        endpoint = reports or Reports(self.lifecycle())
        door = Door(self.settings, self.book, self.access, self.transport, endpoint)
        door.start()
        self.cleanup.callback(door.stop)
        self.door = door
        return door

    def enrol(self, **fields: Any) -> Instance:
        """Make an instance whose guest has a key and a queue."""
        instance = new_instance(**fields)
        with self.database.writing() as tx:
            instances.insert(tx, instance)
        enrolment = self.book.enrol(instance.id)
        guest_dir = self.root / instance.id
        guest_dir.mkdir()
        keys = {enrolment.key_id: enrolment.key}
        credentials = Credentials(instance_id=instance.id, transport_url="rabbit://", keys=keys)
        (guest_dir / FILE_NAME).write_text(credentials.to_json())
        self.client(instance.id).declare()
        return instance

    def row(self, instance_id: str) -> Instance:
        """Return an instance as the database has it."""
        with self.database.reading() as tx:
            found = instances.get(tx, instance_id)
        assert found is not None
        return found

    def received(self, instance_id: str) -> int:
        """Return the bitmap of the numbers that came in from a guest."""
        with self.database.reading() as tx:
            (channel,) = guest_channels.of_instance(tx, instance_id)
        return int(channel.seen, 16)

    def client(self, instance_id: str, *, timeout_s: float = 10.0) -> GuestClient:
        """Return the control plane's client of a guest."""
        return GuestClient(self.transport, instance_id, timeout_s=timeout_s)

    def guest(self, instance_id: str, *, endpoint: Endpoint | None = None) -> "SealedGuest":
        """Return a guest's end, with what an earlier one in the same directory has left; not started."""
        made = SealedGuest(self, instance_id, endpoint or Endpoint())
        self.cleanup.callback(made.stop)
        return made


class SealedGuest:
    """One guest's end."""

    def __init__(self, plane: SealedPlane, instance_id: str, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.book = GuestBook(plane.root / instance_id)
        self.link = GuestLink(
            replace(plane.settings, exchange=plane.access.exchange),
            self.book,
            plane.access,
            instance_id=instance_id,
            send_timeout_s=SEND_S,
        )
        self.conductor = ConductorClient(self.link, answer_timeout_s=10.0)
        contract = guest_contract(instance_id)
        self._server = contract.server(self.link, server=GUEST_SERVER, endpoint=endpoint)

    def start(self) -> Self:
        """Take what is asked."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Take nothing more."""
        self._server.stop()
        self.link.close()
