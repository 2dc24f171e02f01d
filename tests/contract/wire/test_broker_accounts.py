"""The guests' accounts at a real RabbitMQ: what they may do, and how they come and go."""

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import amqp
import pytest
import requests
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_for

from coffer.wire.amqp_settings import AmqpHost, AmqpSettings
from coffer.wire.broker_accounts import (
    MOST_CHANNELS,
    BrokerAccounts,
    BrokerAccountsFailed,
    Management,
    management_of,
)
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.guest_access import GuestAccess, account_of
from coffer.wire.sealed.post import Post

pytestmark = pytest.mark.rabbitmq

ACCESS = GuestAccess("test.")


@pytest.fixture
def accounts(rabbit: RabbitNode) -> BrokerAccounts:
    return BrokerAccounts(management_of(rabbit.management_url), ACCESS)


@contextmanager
def logged_in(rabbit: RabbitNode, user: str, password: str) -> Iterator[Any]:
    connection: Any = amqp.Connection(
        f"127.0.0.1:{rabbit.port}", userid=user, password=password, connect_timeout=10
    )
    try:
        connection.connect()
        yield connection
    finally:
        with suppress(amqp.AMQPError, OSError):
            connection.close()
        connection.collect()


@pytest.fixture
def place(rabbit: RabbitNode) -> Iterator[str]:
    """An instance whose queue is there, as are the conductor's and one that is none of its business."""
    instance_id = str(uuid.uuid4())
    queue = ACCESS.guest_queue(instance_id)
    with logged_in(rabbit, rabbit.user, rabbit.password) as connection:
        channel = connection.channel()
        channel.exchange_declare("trove", "topic", durable=True, auto_delete=False)
        channel.exchange_declare(ACCESS.exchange, "topic", durable=True, auto_delete=False)
        channel.queue_declare(ACCESS.conductor_queue, durable=True, auto_delete=False)
        channel.queue_bind(ACCESS.conductor_queue, ACCESS.exchange, ACCESS.conductor_queue)
        for name in (queue, "test.trove-taskmanager"):
            channel.queue_declare(name, durable=True, auto_delete=False)
            channel.queue_bind(name, "trove", name)
        for name in (queue, "test.trove-taskmanager", ACCESS.conductor_queue):
            channel.queue_purge(name)
        channel.basic_publish(amqp.Message(b"for the guest"), "trove", queue)
        yield instance_id


def test_an_account_reads_its_own_queue_and_writes_to_the_conductor(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    accounts.create(place, "first")
    accounts.create(place, "second")
    with logged_in(rabbit, account_of(place), "second") as guest:
        channel = guest.channel()
        assert channel.basic_get(ACCESS.guest_queue(place)).body == b"for the guest"
        channel.basic_publish_confirm(amqp.Message(b"hello"), ACCESS.exchange, ACCESS.conductor_queue)
    with logged_in(rabbit, rabbit.user, rabbit.password) as control:
        assert control.channel().basic_get(ACCESS.conductor_queue).body == b"hello"
    with pytest.raises(amqp.AccessRefused), logged_in(rabbit, account_of(place), "first"):
        pass


REFUSED: dict[str, Callable[[Any, str], object]] = {
    "a queue of its own": lambda channel, _: channel.queue_declare("mine"),
    "a queue with a name that the broker chooses": lambda channel, _: channel.queue_declare(
        "", exclusive=True
    ),
    "the removal of its queue": lambda channel, its: channel.queue_delete(ACCESS.guest_queue(its)),
    "the removal of an exchange": lambda channel, _: channel.exchange_delete("trove"),
    "another exchange": lambda channel, _: channel.exchange_declare("mine", "fanout", auto_delete=False),
    "another one's queue": lambda channel, _: channel.basic_get("test.trove-taskmanager"),
    "a binding of its queue": lambda channel, its: channel.queue_bind(ACCESS.guest_queue(its), "trove", "#"),
    "a binding of the exchange": lambda channel, _: channel.exchange_bind(ACCESS.exchange, "trove", "#"),
    "the default exchange": lambda channel, _: channel.basic_publish_confirm(
        amqp.Message(b"x"), "", "test.trove-taskmanager"
    ),
    "the control plane's exchange": lambda channel, _: channel.basic_publish_confirm(
        amqp.Message(b"x"), "trove", "test.trove-taskmanager"
    ),
    "another routing key": lambda channel, _: channel.basic_publish_confirm(
        amqp.Message(b"x"), ACCESS.exchange, "test.trove-taskmanager"
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_account_is_refused(rabbit: RabbitNode, accounts: BrokerAccounts, place: str, what: str) -> None:
    accounts.create(place, "secret")
    with logged_in(rabbit, account_of(place), "secret") as guest:
        with pytest.raises(amqp.AccessRefused):
            REFUSED[what](guest.channel(), place)
        # The channel is gone and the connection is not: nothing else was done either.
        assert guest.channel().is_open


def test_copies_by_header_reach_no_other_queue(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    """RabbitMQ compares the routing key with the permissions and routes by these headers as well."""
    accounts.create(place, "secret")
    elsewhere = ["test.trove-taskmanager", ACCESS.guest_queue(place)]
    with logged_in(rabbit, account_of(place), "secret") as guest:
        message = amqp.Message(b"copied", application_headers={"CC": elsewhere, "BCC": elsewhere})
        guest.channel().basic_publish_confirm(message, ACCESS.exchange, ACCESS.conductor_queue)
    with logged_in(rabbit, rabbit.user, rabbit.password) as control:
        channel = control.channel()
        assert channel.basic_get("test.trove-taskmanager") is None
        assert channel.basic_get(ACCESS.conductor_queue).body == b"copied"


def test_an_account_cannot_open_channels_without_end(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    accounts.create(place, "secret")
    with logged_in(rabbit, account_of(place), "secret") as guest:
        for _ in range(MOST_CHANNELS):
            guest.channel()
        with pytest.raises(amqp.NotAllowed):
            guest.channel()


def flood(post: Post) -> None:
    for _ in range(100):
        post.send(bytes(10_000), ACCESS.conductor_queue, timeout_s=1.0)


def test_a_guest_that_floods_is_turned_away_and_heard_again_once_there_is_room(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    accounts.create(place, "secret")
    settings = AmqpSettings(
        hosts=(AmqpHost("127.0.0.1", rabbit.port, account_of(place), "secret"),),
        virtual_host="/",
        exchange=ACCESS.exchange,
        timeout_s=5.0,
    )
    accounts.bound(conductor_bytes=20_000)
    try:
        with closing(Post(settings, name="test")) as post:
            with pytest.raises(NotDeliveredError, match="the queue is full"):
                flood(post)
            (line,) = post._idle
            with logged_in(rabbit, rabbit.user, rabbit.password) as control:
                assert control.channel().queue_purge(ACCESS.conductor_queue) < 100
            post.send(b"hello", ACCESS.conductor_queue, timeout_s=5.0)
            # Else each attempt would be a connection, of everybody at once.
            assert post._idle == [line]
    finally:
        accounts.bound()


def test_bounds_are_of_the_guests_queues_only(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    accounts.bound()
    accounts.bound()

    def policies() -> dict[str, str | None]:
        found = requests.get(f"{rabbit.management_url}/api/queues/%2F", timeout=10).json()
        return {row["name"]: row.get("policy") for row in found}

    queues = {
        ACCESS.guest_queue(place): "test.coffer-guests",
        ACCESS.conductor_queue: "test.coffer-conductor",
        "test.trove-taskmanager": None,
    }
    wait_for(lambda: queues.items() <= policies().items(), 20.0, "the policies to be in force")


def test_a_removed_account_leaves_no_connection_and_no_queue(
    rabbit: RabbitNode, accounts: BrokerAccounts, place: str
) -> None:
    accounts.create(place, "secret")
    assert place in accounts.owned()
    with logged_in(rabbit, account_of(place), "secret") as guest:
        accounts.remove(place)

        def is_closed() -> bool:
            with suppress(TimeoutError):
                guest.drain_events(timeout=0.05)
            return False

        with pytest.raises((amqp.ConnectionForced, OSError)):
            wait_for(is_closed, 10.0, "the broker to close the connection")
    accounts.remove(place)
    assert place not in accounts.owned()
    with (
        logged_in(rabbit, rabbit.user, rabbit.password) as control,
        pytest.raises(amqp.NotFound),
    ):
        control.channel().basic_get(ACCESS.guest_queue(place))
    with pytest.raises(amqp.AccessRefused), logged_in(rabbit, account_of(place), "secret"):
        pass


def test_other_accounts_are_none_of_ours(rabbit: RabbitNode, accounts: BrokerAccounts) -> None:
    mine = str(uuid.uuid4())
    accounts.create(mine, "secret")
    _add_user(rabbit, "guest-house", "x", tags="")
    assert rabbit.user not in accounts.owned()
    assert "house" not in accounts.owned()
    assert mine in accounts.owned()
    accounts.remove(mine)


def test_a_broker_without_the_right_account_is_told_of_without_a_password(rabbit: RabbitNode) -> None:
    _add_user(rabbit, "operator", "hush-hush", tags="monitoring")
    url = f"http://127.0.0.1:{rabbit.management_port}"
    accounts = BrokerAccounts(Management(url, "operator", "hush-hush"), ACCESS)
    with pytest.raises(BrokerAccountsFailed, match="lacks the tag administrator"):
        accounts.check()
    with pytest.raises(BrokerAccountsFailed, match=r"refuses PUT users/guest-.*: 401|not know our account"):
        accounts.create(str(uuid.uuid4()), "x")
    wrong = BrokerAccounts(Management(url, rabbit.user, "hush-hush"), ACCESS)
    with pytest.raises(BrokerAccountsFailed, match="its password is another one") as failure:
        wrong.check()
    assert "hush-hush" not in f"{failure.value!r}{wrong!r}{failure.value.__context__}"
    BrokerAccounts(management_of(rabbit.management_url), ACCESS).check()


def test_a_management_api_that_is_away_or_silent_or_another_thing_is_told_of() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        accounts = BrokerAccounts(
            Management(f"http://127.0.0.1:{port}", "coffer", "hush-hush", timeout_s=0.2), ACCESS
        )
        with pytest.raises(BrokerAccountsFailed, match="does not answer: ReadTimeout"):
            accounts.check()
        threading.Thread(target=_greet, args=(server, 2)).start()
        with pytest.raises(BrokerAccountsFailed, match="not RabbitMQ's"):
            accounts.check()
    with pytest.raises(BrokerAccountsFailed, match="does not answer: ConnectionError") as failure:
        accounts.check()
    assert "hush-hush" not in str(failure.value)


def _add_user(rabbit: RabbitNode, name: str, password: str, *, tags: str) -> None:
    body = {"password": password, "tags": tags}
    requests.put(f"{rabbit.management_url}/api/users/{name}", json=body, timeout=10).raise_for_status()


def _greet(server: socket.socket, times: int) -> None:
    for _ in range(times):
        connection, _address = server.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("amqp://a:b@c", "must look like"),
        ("http://broker:15672", "names no user"),
        ("http://a:b@broker:port", "port is no number"),
        ("", "must look like"),
    ],
)
def test_a_url_that_is_none_is_refused_without_being_quoted(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        management_of(url)


def test_a_url_is_taken_apart() -> None:
    found = management_of("https://co%40ffer:p%2Fw@[::1]:15671/rabbit/")
    assert (found.url, found.user, found.password) == ("https://[::1]:15671/rabbit", "co@ffer", "p/w")
    assert "p/w" not in repr(found)
