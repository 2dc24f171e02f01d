"""A guest agent beside a real database server, on a broker inside this process, with a recording conductor."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.instances import new_place
from tests.support.messaging import MEMORY_URL, messaging_conf
from tests.support.scratch import scratch_dir
from tests.support.waiting import wait_for

from coffer.clouds.object_store import ObjectStore
from coffer.datastores.driver import Place
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.server import Patience
from coffer.guestagent.agent import GuestAgent
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.contracts import CONDUCTOR
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcTransport
from coffer.wire.transport import rpc_transport

__all__ = ["scratch_dir"]


@dataclass(frozen=True)
class Report:
    """One report of the end of a run; `etype` is "" where the run ended well."""

    run_id: str | None
    instance_id: str
    etype: str = ""
    value: Mapping[str, JSON] = field(default_factory=dict)
    trace: str = ""


class RecordingConductor:
    """The conductor's end of the wire: it keeps what guests say."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.beats: list[tuple[str, str, str]] = []
        self.used_bytes: list[int] = []

    def heartbeat(
        self,
        ctx: TroveContext,
        *,
        instance_id: str,
        status: str,
        sent_at: str,
        volume_used_bytes: int | None = None,
    ) -> None:
        assert ctx.notification is None
        if volume_used_bytes is not None:
            self.used_bytes.append(volume_used_bytes)
        self.beats.append((instance_id, status, sent_at))

    def notify_end(self, ctx: TroveContext, *, instance_id: str, traits: Mapping[str, JSON]) -> None:
        self.reports.append(Report(_run_id(ctx), instance_id))

    def notify_exc_info(
        self, ctx: TroveContext, *, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        self.reports.append(Report(_run_id(ctx), instance_id, etype, value, trace))

    def of(self, ctx: TroveContext, timeout_s: float = 30) -> Report:
        """Wait for the report of a context's run."""
        assert ctx.notification is not None
        run_id = ctx.notification.run_id
        found = wait_for(
            lambda: [r for r in self.reports if r.run_id == run_id], timeout_s, f"the end of {run_id}"
        )
        return found[0]

    def says(self, status: str, *, since: datetime | None = None, timeout_s: float = 30) -> None:
        """Wait until the newest heartbeat has this status and was sent after a moment."""

        def heard() -> bool:
            newest = max(self.beats, key=lambda beat: beat[2], default=None)
            return newest is not None and newest[1] == status and (since is None or moment(newest) > since)

        wait_for(heard, timeout_s, f"a heartbeat {status}")


def _run_id(ctx: TroveContext) -> str | None:
    return None if ctx.notification is None else ctx.notification.run_id


def moment(beat: tuple[str, str, str]) -> datetime:
    return datetime.fromisoformat(beat[2])


@dataclass
class Guest:
    """One instance as the control plane sees it, and the control plane as the instance sees it."""

    place: Place
    driver: PostgresqlDriver
    client: GuestClient
    conductor: RecordingConductor
    new_agent: Callable[..., GuestAgent]
    transport: RpcTransport

    def prepare(self, *, databases: Any = (), users: Any = ()) -> Report:
        ctx = context()
        self.client.prepare(ctx, databases, users)
        return self.conductor.of(ctx)


def context(operation: str = "database_create") -> TroveContext:
    """Return the context of a run."""
    ticket = Ticket(run_id=str(uuid.uuid4()), operation=operation)
    return TroveContext(project_id="p1", user_id="u1", notification=ticket, overwrite=False)


@pytest.fixture
def guest(scratch_dir: Path) -> Iterator[Guest]:
    """An instance with nothing in it and an agent that runs; agents and server are stopped afterwards."""
    conf = messaging_conf(MEMORY_URL, rpc_topic_prefix=f"{uuid.uuid4()}.")
    place = new_place(scratch_dir)
    patience = Patience(start_s=30, fast_stop_s=5, immediate_stop_s=2)
    with ExitStack() as stack:
        transport = rpc_transport(conf)
        stack.callback(transport.close)
        conductor = RecordingConductor()
        server = CONDUCTOR.server(transport, server="test", endpoint=conductor)
        server.start()
        stack.callback(server.stop)
        driver = PostgresqlDriver(place, patience)
        stack.callback(driver.stop)

        def new_agent(objects: ObjectStore | None = None) -> GuestAgent:
            agent = GuestAgent(
                instance_id=place.instance_id,
                guest_dir=place.directory,
                driver=PostgresqlDriver(place, patience),
                conductor=ConductorClient(transport),
                transport=transport,
                report_interval_s=0.5,
                objects=objects,
            )
            agent.start()
            stack.callback(agent.stop)
            return agent

        yield Guest(
            place=place,
            driver=driver,
            client=GuestClient(transport, place.instance_id),
            conductor=conductor,
            new_agent=new_agent,
            transport=transport,
        )


def threads_named(part: str) -> list[str]:
    """Return the live threads whose name holds a text."""
    return [each.name for each in threading.enumerate() if part in each.name]
