"""The contract of our RPC, over the broker in memory and over RabbitMQ."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from oslo_context import context as oslo_context
from tests.support.messaging import MEMORY_URL, messaging_conf
from tests.support.waiting import wait_for

from coffer.catalogue.errors import CofferError, DispatchFailed, NotBuilt, UserExists
from coffer.wire import transport
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcClient, RpcServer, RpcTimeout, RpcTransport

METHODS = frozenset({"add", "refuse", "break_down", "wait", "note", "whoami"})
PASSWORD = "hunter2-is-my-password"


@dataclass
class Endpoint:
    """Serves the methods under test; `forbidden` is public but in no contract."""

    notes: list[Any] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def add(self, ctx: TroveContext, *, left: int, right: int = 1) -> int:
        return left + right

    def refuse(self, ctx: TroveContext, *, name: str) -> None:
        raise UserExists(name=name)

    def break_down(self, ctx: TroveContext, *, password: str) -> None:
        raise RuntimeError(f"cannot connect with {password}")

    def wait(self, ctx: TroveContext) -> None:
        self.release.wait(20)
        self.notes.append("waited")

    def note(self, ctx: TroveContext, *, what: object) -> None:
        self.notes.append(what)

    def whoami(self, ctx: TroveContext) -> dict[str, JSON]:
        current = oslo_context.get_current()
        return {
            "context": {**ctx.to_dict(), "is_current": current is ctx},
            "token": ctx.auth_token,
            "thread": threading.current_thread().name,
        }

    def forbidden(self, ctx: TroveContext) -> str:
        return "you should not see this"


@dataclass
class Bus:
    """Makes transports to one broker, and remembers what has to be closed."""

    url: str
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex}.")
    _closing: list[Callable[[], object]] = field(default_factory=list)

    def transport(self, *, cast_timeout_s: float = 5.0) -> RpcTransport:
        conf = messaging_conf(self.url, rpc_topic_prefix=self.prefix, rpc_cast_timeout_s=cast_timeout_s)
        made = transport.rpc_transport(conf)
        self._closing.append(made.close)
        return made

    def serve(self, endpoint: object, *, server: str = "one", version: str = "1.2") -> RpcServer:
        made = RpcServer(
            self.transport(),
            topic="trove-test",
            server=server,
            endpoint=endpoint,
            version=version,
            methods=METHODS,
        )
        self._closing.append(made.stop)
        made.start()
        return made

    def client(self, *, version: str = "1.0", cast_timeout_s: float = 5.0) -> RpcClient:
        over = self.transport(cast_timeout_s=cast_timeout_s)
        return RpcClient(over, topic="trove-test", version=version, service="test")

    def close(self) -> None:
        for close in reversed(self._closing):
            close()


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    url = MEMORY_URL if request.param == "memory" else request.getfixturevalue("rabbit").url
    made = Bus(url)
    yield made
    made.close()


@pytest.fixture
def ctx() -> TroveContext:
    return TroveContext(
        auth_token="a-token",
        user_id="u1",
        project_id="p1",
        request_id="req-1",
        roles=["member"],
        notification=Ticket(run_id="r1", operation="user_create"),
        client_ip="192.0.2.1:5",
        overwrite=False,
    )


def test_a_call_returns_what_the_method_returns(bus: Bus, ctx: TroveContext) -> None:
    bus.serve(Endpoint())

    assert bus.client().call(ctx, "add", timeout_s=10, left=2, right=3) == 5


def test_a_cast_is_done_once_by_one_of_several_servers(bus: Bus, ctx: TroveContext) -> None:
    first, second = Endpoint(), Endpoint()
    bus.serve(first, server="one")
    bus.serve(second, server="two")
    client = bus.client()

    for number in range(20):
        client.cast(ctx, "note", what=number)

    wait_for(lambda: len(first.notes) + len(second.notes) == 20, 20, "the casts")
    assert sorted(first.notes + second.notes) == list(range(20))


def test_the_context_travels_with_its_run_and_without_tokens(bus: Bus, ctx: TroveContext) -> None:
    bus.serve(Endpoint())

    seen = bus.client().call(ctx, "whoami", timeout_s=10)

    assert isinstance(seen, dict)
    assert seen["context"] == {**ctx.to_dict(), "is_current": True}
    assert seen["token"] is None
    assert seen["thread"] != threading.current_thread().name


def test_an_error_of_the_catalogue_arrives_as_itself(bus: Bus, ctx: TroveContext) -> None:
    bus.serve(Endpoint())

    with pytest.raises(UserExists, match="A user with the name ☃ already exists"):
        bus.client().call(ctx, "refuse", timeout_s=10, name="☃")


def test_an_unforeseen_error_is_logged_once_at_the_server_without_secrets(
    bus: Bus, ctx: TroveContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bus.serve(Endpoint())

    with pytest.raises(CofferError) as raised:
        bus.client().call(ctx, "break_down", timeout_s=10, password=PASSWORD)

    assert raised.value.code == "internal_error"
    records = [record for record in caplog.records if "rpc failed" in record.getMessage()]
    assert len(records) == 1
    assert "RuntimeError: cannot connect with ***" in records[0].getMessage()
    assert "run_id=r1" in records[0].getMessage()
    assert PASSWORD not in caplog.text
    assert "Exception during message handling" not in caplog.text


@pytest.mark.parametrize("method", ["forbidden", "notes", "__init__", "_secret", "no_such_method"])
def test_only_the_methods_of_the_contract_can_be_called(bus: Bus, ctx: TroveContext, method: str) -> None:
    bus.serve(Endpoint())

    with pytest.raises(NotBuilt, match=method):
        bus.client().call(ctx, method, timeout_s=10)


def test_arguments_that_the_server_does_not_know_are_skipped(bus: Bus, ctx: TroveContext) -> None:
    bus.serve(Endpoint())

    assert bus.client().call(ctx, "add", timeout_s=10, left=4, colour="blue") == 5


def test_missing_arguments_are_an_error_and_no_crash(bus: Bus, ctx: TroveContext) -> None:
    bus.serve(Endpoint())
    client = bus.client()

    with pytest.raises(CofferError):
        client.call(ctx, "add", timeout_s=10)
    assert client.call(ctx, "add", timeout_s=10, left=1) == 2


@pytest.mark.parametrize("version", ["1.3", "2.0"])
def test_a_client_that_is_too_new_is_refused(bus: Bus, ctx: TroveContext, version: str) -> None:
    bus.serve(Endpoint(), version="1.2")

    with pytest.raises(NotBuilt):
        bus.client(version=version).call(ctx, "add", timeout_s=10, left=1)


def test_a_call_that_takes_too_long_times_out(bus: Bus, ctx: TroveContext) -> None:
    endpoint = Endpoint()
    bus.serve(endpoint)
    started = time.monotonic()

    with pytest.raises(RpcTimeout):
        bus.client().call(ctx, "wait", timeout_s=0.5)

    assert time.monotonic() - started < 3
    endpoint.release.set()


def test_a_call_that_was_given_up_is_not_done_by_a_server_that_comes_back(
    bus: Bus, ctx: TroveContext
) -> None:
    endpoint = Endpoint()
    bus.serve(endpoint, server="one").stop()
    client = bus.client()
    with pytest.raises(RpcTimeout):
        client.call(ctx, "note", timeout_s=0.5, what="given up")
    client.cast(ctx, "note", what="asked for later")

    bus.serve(endpoint, server="one")

    wait_for(lambda: "asked for later" in endpoint.notes, 20, "what waited in the same queue")
    assert endpoint.notes == ["asked for later"]


def test_a_message_that_nobody_has_a_queue_for_is_refused_within_the_limit(
    bus: Bus, ctx: TroveContext
) -> None:
    client = bus.client(cast_timeout_s=0.6)
    started = time.monotonic()

    with pytest.raises(DispatchFailed, match="test service"):
        client.cast(ctx, "note", what=1)
    with pytest.raises(DispatchFailed):
        client.call(ctx, "add", timeout_s=5, left=1)

    assert time.monotonic() - started < 4


def test_a_declared_queue_keeps_messages_for_a_server_to_come(bus: Bus, ctx: TroveContext) -> None:
    bus.transport().declare("trove-test", "one")
    bus.client().cast(ctx, "note", what="early")
    endpoint = Endpoint()

    bus.serve(endpoint, server="one")

    wait_for(lambda: endpoint.notes == ["early"], 20, "the early message")


def test_a_server_stops_quickly_and_others_start_in_its_place(bus: Bus, ctx: TroveContext) -> None:
    client = bus.client()
    for round_number in range(3):
        server = bus.serve(Endpoint())
        assert client.call(ctx, "add", timeout_s=10, left=round_number) == round_number + 1
        started = time.monotonic()
        assert server.stop()
        assert server.stop()
        assert time.monotonic() - started < 3


def test_a_stopping_server_finishes_what_it_does(bus: Bus, ctx: TroveContext) -> None:
    endpoint = Endpoint()
    server = bus.serve(endpoint)
    bus.client().cast(ctx, "wait")
    bus.client().cast(ctx, "note", what="running")
    wait_for(lambda: endpoint.notes, 20, "the server to work")

    assert not server.stop(timeout_s=0.5)
    endpoint.release.set()

    wait_for(lambda: "waited" in endpoint.notes, 20, "the work under way")


def test_two_installations_on_one_broker_do_not_hear_each_other(bus: Bus, ctx: TroveContext) -> None:
    other = Bus(bus.url)
    mine, theirs = Endpoint(), Endpoint()
    bus.serve(mine)
    try:
        other.serve(theirs)
        other.client().call(ctx, "note", timeout_s=10, what="theirs")
        bus.client().call(ctx, "note", timeout_s=10, what="mine")
    finally:
        other.close()

    assert (mine.notes, theirs.notes) == (["mine"], ["theirs"])


def test_an_endpoint_that_lacks_a_method_of_its_contract_is_refused(bus: Bus) -> None:
    with pytest.raises(TypeError, match="add"):
        bus.serve(object())


def test_secrets_in_arguments_reach_no_log_line(
    bus: Bus, ctx: TroveContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    endpoint = Endpoint()
    bus.serve(endpoint)

    bus.client().call(ctx, "note", timeout_s=10, what={"name": "u", "password": PASSWORD})

    assert endpoint.notes == [{"name": "u", "password": PASSWORD}]
    assert PASSWORD not in caplog.text
