"""What we seal is what oslo.messaging's own notification listener (and so Ceilometer) reads from RabbitMQ."""

import queue
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.messaging import messaging_conf, notification
from tests.support.rabbitmq import RabbitNode

from coffer.wire import transport
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.envelope import Notification, seal
from coffer.wire.publisher import Outgoing

pytestmark = pytest.mark.rabbitmq

Call = tuple[str, Mapping[str, Any], str, str, Mapping[str, Any], Mapping[str, Any]]


class Endpoint:
    """Keeps what the listener calls it with."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Call] = queue.Queue()

    def info(
        self,
        ctxt: Mapping[str, Any],
        publisher_id: str,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        self.calls.put(("info", ctxt, publisher_id, event_type, payload, metadata))

    def error(
        self,
        ctxt: Mapping[str, Any],
        publisher_id: str,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        self.calls.put(("error", ctxt, publisher_id, event_type, payload, metadata))


def _context() -> TroveContext:
    return TroveContext(
        auth_token="a-token-that-stays-here",
        user_id="u7",
        project_id="p7",
        request_id="req-7",
        roles=["member"],
        notification=Ticket(run_id="r7", operation="database_create"),
        client_ip="192.0.2.1:4711",
        overwrite=False,
    )


@pytest.mark.parametrize("severity", ["info", "error"])
def test_the_listener_of_oslo_messaging_reads_what_we_seal(rabbit: RabbitNode, severity: str) -> None:
    topic = f"notifications-{uuid.uuid4().hex}"
    conf = messaging_conf(rabbit.url, oslo_messaging_notifications__topics=[topic])
    sealed = notification(3, severity=severity, payload={"name": "naïve", "size": 5, "ratio": 0.5})
    sealed = Notification(
        **{
            name: getattr(sealed, name)
            for name in ("message_id", "unique_id", "event_type", "publisher_id", "timestamp", "payload")
        },
        severity=severity,
        context=_context().for_notification(),
    )
    transport.oslo()  # imports oslo.messaging without its warnings
    import oslo_messaging  # noqa: TID251 - the reader that is not ours

    endpoint = Endpoint()
    listener = oslo_messaging.get_notification_listener(
        oslo_messaging.get_notification_transport(conf),
        [oslo_messaging.Target(topic=topic)],
        [endpoint],
    )
    publisher = transport.publisher(conf)
    listener.start()
    try:
        assert publisher.publish([Outgoing(id=1, severity=severity, body=seal(sealed))]) == {1}
        level, ctxt, publisher_id, event_type, payload, metadata = endpoint.calls.get(timeout=20)
    finally:
        publisher.close()
        listener.stop()
        listener.wait()
        listener.transport.cleanup()

    assert (level, publisher_id, event_type) == (severity, sealed.publisher_id, sealed.event_type)
    assert payload == sealed.payload
    assert metadata["message_id"] == sealed.message_id
    assert metadata["timestamp"] == sealed.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")
    assert ctxt["request_id"] == "req-7"
    assert (ctxt["project_id"], ctxt["tenant"], ctxt["user_id"]) == ("p7", "p7", "u7")
    assert "a-token-that-stays-here" not in str(ctxt)
    assert not any("token" in key for key in ctxt)
