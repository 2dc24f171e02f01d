"""What a connection to RabbitMQ needs to know, as plain data made from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SEVERITIES = ("info", "error")
"""Every severity has a queue of its own: `<topic>.<severity>`."""


@dataclass(frozen=True, slots=True)
class AmqpHost:
    """One node of the broker, and who we are to it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AmqpSettings:
    """One broker (its nodes are tried in turn), and how exchange and queues are declared there.

    `extra_queue` is a queue that the publisher declares and binds besides those of the topics, so that its
    reader misses nothing that was published before he first came. `tls` are py-amqp's TLS parameters, None
    for a plain connection. `timeout_s` limits every single wait. `heartbeat_s` of 0 means none.
    """

    hosts: tuple[AmqpHost, ...]
    virtual_host: str
    exchange: str
    topics: tuple[str, ...] = ("notifications",)
    durable: bool = True
    auto_delete: bool = False
    extra_queue: str | None = None
    queue_arguments: Mapping[str, object] = field(default_factory=dict)
    tls: Mapping[str, object] | None = None
    login_method: str = "AMQPLAIN"
    heartbeat_s: float = 60.0
    timeout_s: float = 10.0

    def routing_keys(self, severity: str) -> tuple[str, ...]:
        """Return the keys under which a message of this severity goes out; the queues are called the same."""
        return tuple(f"{topic}.{severity}" for topic in self.topics)

    def all_routing_keys(self) -> tuple[str, ...]:
        """Return every key that a notification of coffer can have."""
        return tuple(key for severity in SEVERITIES for key in self.routing_keys(severity))
