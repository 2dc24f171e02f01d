"""Peers that know nothing of runs (G9): what they say is done, silently; the messages are those of version 1.0."""

import copy
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.samples.record_rpc import FOLDER
from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestUnreachable, NotBuilt, PeerTooOld
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.store import migrate
from coffer.wire.context import TroveContext
from coffer.wire.contracts import CONDUCTOR, GUEST_SERVER, guest_contract
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcServer

CONTRACTS = json.loads((FOLDER / "1.0.json").read_text())
IN_ORDER = ("create_database", "list_databases", "create_user", "list_users", "grant_access", "list_access")
IN_ORDER += (
    "revoke_access",
    "change_password",
    "update_attributes",
    "resize",
    "status",
    "restart",
    "is_root_enabled",
)
PLACEHOLDER = "00000000-0000-4000-8000-000000000001"
FAR = "2999-01-01T00:00:00+00:00"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    url = f"sqlite:///{tmp_path / 'coffer.db'}"
    migrate.upgrade(url)
    with Plane(url, tmp_path / "cloud") as running:
        yield running


def recorded(service: str, method: str, instance_id: str) -> dict[str, Any]:
    """A message as version 1.0 sent it, about this instance, from somebody who knows of no runs."""
    message = copy.deepcopy(CONTRACTS[service]["methods"][method]["messages"][0])
    del message["context"]["notification"]
    if "until" in message["args"]:
        message["args"]["until"] = FAR
    of_instance: dict[str, Any] = json.loads(json.dumps(message).replace(PLACEHOLDER, instance_id))
    return of_instance


def say(plane: Plane, topic: str, message: dict[str, Any]) -> Any:
    """Send a message and return the reply."""
    context = message.pop("context")
    return plane.rpc.send(topic, None, context, message, reply_timeout_s=20)


def test_a_guest_does_what_a_control_plane_without_runs_asks_for(plane: Plane) -> None:
    instance_id = plane.active(databases=[{"name": "shop"}], users=[{"name": "alice", "password": "tiger"}])
    before = plane.told()
    topic = guest_contract(instance_id).topic
    for method in IN_ORDER:
        reply = say(plane, topic, recorded("guestagent", method, instance_id))
        assert "error" not in reply, (method, reply)
    server = plane.server(instance_id)
    wait_for(lambda: "orders" in server.databases, 20, "the database to be made")
    assert plane.told() == before
    assert plane.instance(instance_id).state == InstanceState.ACTIVE


def test_a_guest_without_runs_is_heard(plane: Plane) -> None:
    instance_id = plane.active()
    before = plane.told()
    plane.local_cloud.stop_guests()
    beat = recorded("conductor", "heartbeat", instance_id)
    beat["args"] |= {"status": "CRASHED", "sent_at": FAR}
    assert "error" not in say(plane, CONDUCTOR.topic, beat)
    assert plane.instance(instance_id).service_status is ServiceStatus.CRASHED

    for method in ("notify_end", "notify_exc_info"):
        assert "error" not in say(plane, CONDUCTOR.topic, recorded("conductor", method, instance_id))
    assert plane.told() == before
    assert plane.instance(instance_id).state == InstanceState.ACTIVE


class OldAgent:
    """Takes what an agent of version 1.0 took, and notes it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        for method in CONTRACTS["guestagent"]["methods"]:
            setattr(self, method, partial(self._note, method))

    def _note(self, method: str, ctx: TroveContext, **args: Any) -> None:
        del ctx
        unknown = args.keys() - CONTRACTS["guestagent"]["methods"][method]["parameters"].keys()
        assert not unknown, f"{method} never had {unknown}"
        self.asked.append((method, sorted(args)))


@pytest.fixture
def old_agent(plane: Plane) -> Iterator[OldAgent]:
    agent = OldAgent()
    server = RpcServer(
        plane.rpc,
        topic=guest_contract("i-1").topic,
        server=GUEST_SERVER,
        endpoint=agent,
        version=CONTRACTS["guestagent"]["version"],
        methods=frozenset(CONTRACTS["guestagent"]["methods"]),
    )
    server.start()
    yield agent
    server.stop()


def test_an_agent_of_version_1_0_is_asked_for_what_it_knows(plane: Plane, old_agent: OldAgent) -> None:
    ctx = TroveContext(project_id="p", overwrite=False)
    guest = GuestClient(plane.rpc, "i-1", timeout_s=10)
    guest.list_databases(ctx)
    guest.create_database(ctx, {"name": "shop"})
    guest.resize(ctx, 1024, asked_at=FAR)
    guest.restart(ctx)
    wait_for(lambda: len(old_agent.asked) == 4, 20, "four orders")

    with pytest.raises(NotBuilt):  # its own answer: it has no such method
        guest.take_credentials(ctx, "{}")
    assert len(old_agent.asked) == 4


def test_what_a_pinned_agent_does_not_know_is_refused_before_it_is_asked(
    plane: Plane, old_agent: OldAgent
) -> None:
    ctx = TroveContext(project_id="p", overwrite=False)
    guest = GuestClient(plane.rpc, "i-1", timeout_s=10, pin="1.0")
    guest.list_users(ctx)
    with pytest.raises(PeerTooOld, match=r"take_credentials needs 1\.1") as refusal:
        guest.take_credentials(ctx, "{}")
    assert not isinstance(refusal.value, GuestUnreachable)
    assert [method for method, _ in old_agent.asked] == ["list_users"]
