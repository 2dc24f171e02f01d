"""RPC while RabbitMQ is away, frozen, or comes back."""

import time
import uuid
from collections.abc import Callable

import pytest
from tests.support.messaging import messaging_conf
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.catalogue.errors import DispatchFailed, GuestUnreachable
from coffer.wire import transport
from coffer.wire.context import TroveContext
from coffer.wire.contracts import TASKMANAGER
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc import RpcTransport
from coffer.wire.taskmanager_client import TaskmanagerClient

pytestmark = pytest.mark.rabbitmq

LIMIT_S = 1.5


class Tasks:
    """A taskmanager that only keeps count."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, method: str) -> Callable[..., None]:
        if method not in TASKMANAGER.methods:
            raise AttributeError(method)
        return lambda _ctx, *, instance_id, **_args: self.done.append(instance_id)


def _transport(rabbit: RabbitNode) -> RpcTransport:
    prefix = f"t{uuid.uuid4().hex}."
    conf = messaging_conf(rabbit.url, rpc_topic_prefix=prefix, rpc_cast_timeout_s=LIMIT_S)
    return transport.rpc_transport(conf)


@pytest.fixture
def ctx() -> TroveContext:
    return TroveContext(user_id="u1", project_id="p1", overwrite=False)


def test_nothing_waits_longer_than_the_limit_for_a_broker_that_is_away(
    rabbit: RabbitNode, ctx: TroveContext
) -> None:
    over = _transport(rabbit)
    rabbit.kill()
    started = time.monotonic()

    with pytest.raises(DispatchFailed, match="taskmanager"):
        TaskmanagerClient(over).delete_instance(ctx, "i1")
    with pytest.raises(GuestUnreachable, match="i1"):
        GuestClient(over, "i1", timeout_s=1).list_databases(ctx)
    with pytest.raises(NotDeliveredError):
        TASKMANAGER.server(over, server="h", endpoint=Tasks()).start()

    assert time.monotonic() - started < 3 * LIMIT_S + 3
    over.close()


def test_nothing_waits_longer_than_the_limit_for_a_frozen_broker(
    rabbit: RabbitNode, ctx: TroveContext
) -> None:
    over = _transport(rabbit)
    tasks = Tasks()
    server = TASKMANAGER.server(over, server="h", endpoint=tasks)
    server.start()
    client = TaskmanagerClient(over)
    client.delete_instance(ctx, "before")
    wait_for(lambda: tasks.done == ["before"], 20, "the first task")

    rabbit.freeze()
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(DispatchFailed):
            client.delete_instance(ctx, "during")
    waited_s = time.monotonic() - started
    rabbit.thaw()

    assert waited_s < 3 * LIMIT_S + 2
    client.delete_instance(ctx, "after")
    wait_for(lambda: "after" in tasks.done, 30, "the task after the thaw")
    server.stop()
    over.close()


def test_a_frozen_broker_does_not_keep_us_from_ending(rabbit: RabbitNode, ctx: TroveContext) -> None:
    over = _transport(rabbit)
    server = TASKMANAGER.server(over, server="h", endpoint=Tasks())
    server.start()
    TaskmanagerClient(over).delete_instance(ctx, "i1")
    rabbit.freeze()

    started = time.monotonic()
    server.stop(timeout_s=1)
    over.close(timeout_s=1)

    assert time.monotonic() - started < 4
    rabbit.thaw()


def test_servers_and_clients_find_the_broker_again_and_tasks_in_its_queues_survive(
    rabbit: RabbitNode, ctx: TroveContext
) -> None:
    over = _transport(rabbit)
    tasks = Tasks()
    server = TASKMANAGER.server(over, server="h", endpoint=tasks)
    server.start()
    server.stop()
    client = TaskmanagerClient(over)
    client.delete_instance(ctx, "waiting")

    rabbit.kill()
    rabbit.start()
    again = TASKMANAGER.server(over, server="h", endpoint=tasks)
    again.start()
    wait_for(lambda: "waiting" in tasks.done, 60, "the task that waited in the broker")

    rabbit.kill()
    rabbit.start()
    _until_sent(client, ctx, "later")
    wait_for(lambda: "later" in tasks.done, 60, "the task after the second restart")
    again.stop()
    over.close()


def _until_sent(client: TaskmanagerClient, ctx: TroveContext, instance_id: str) -> None:
    def sent() -> bool:
        try:
            client.delete_instance(ctx, instance_id)
        except DispatchFailed:
            return False
        return True

    wait_for(sent, 60, "the broker to take a task")
