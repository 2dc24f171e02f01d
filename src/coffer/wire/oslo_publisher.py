"""Publishes through any of oslo.messaging's transports, one message at a time.

It is for what RabbitMQ's own publisher does not cover. It never uses the notifier, which swallows failures
and makes new ids; whether an answer means that a message is stored is up to the transport (Kafka's does not).
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coffer.wire.delivery import Delivery, NotDeliveredError
from coffer.wire.publisher import BrokerUnavailable, Outgoing

if TYPE_CHECKING:
    from coffer.wire.oslo import Notifications

LOG = logging.getLogger(__name__)


class OsloPublisher:
    """A `Publisher` on oslo.messaging."""

    def __init__(self, notifications: "Notifications", *, topics: Sequence[str], timeout_s: float) -> None:
        """Send each message to each of `topics`, waiting at most `timeout_s` for each."""
        self._notifications = notifications
        self._topics = tuple(topics)
        self._timeout_s = timeout_s
        self._delivery = Delivery(parallel=1)

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Send one by one, and stop at the first failure, so that the order holds.

        Raises:
            BrokerUnavailable: if the first one failed.
        """
        sent: set[int] = set()
        for message in batch:
            try:
                for topic in self._topics:
                    self._send(f"{topic}.{message.severity}", message.body)
            except NotDeliveredError as error:
                if not sent:
                    raise BrokerUnavailable(str(error)) from error
                LOG.info("batch cut short sent=%s of=%s reason=%s", len(sent), len(batch), error)
                break
            sent.add(message.id)
        return frozenset(sent)

    def close(self) -> None:
        """Close every connection; what a frozen broker holds ends with the process."""
        with contextlib.suppress(NotDeliveredError):
            self._delivery.within(self._timeout_s, lambda _abandoned: self._notifications.close())

    def _send(self, topic: str, body: bytes) -> None:
        self._delivery.within(self._timeout_s, lambda _abandoned: self._notifications.send(topic, body))
