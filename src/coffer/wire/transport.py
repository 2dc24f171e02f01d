"""Builds transports from the configuration; the door to oslo.messaging, which is heavy to open."""

import logging
import threading
import types
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from oslo_config import cfg

from coffer.wire.publisher import Publisher
from coffer.wire.rpc import RpcTransport

if TYPE_CHECKING:
    from coffer.wire.broker_watch import BrokerWatch
    from coffer.wire.consumer import Consumer, Handler

_IMPORTING = threading.Lock()


def oslo() -> types.ModuleType:
    """Import the adapter to oslo.messaging.

    oslo.messaging still imports eventlet, which coffer never uses, and everybody on the way announces the end
    of it; those warnings, and no others, are silenced here.
    """
    with _IMPORTING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*[Ee]ventlet.*")
        from coffer.wire import oslo as adapter

    # Below INFO the library prints whole messages, arguments included.
    for name in ("oslo_messaging", "oslo.messaging"):
        library = logging.getLogger(name)
        if library.level < logging.INFO:
            library.setLevel(logging.INFO)
    return adapter


def rpc_transport(conf: cfg.ConfigOpts) -> RpcTransport:
    """Return the transport that `transport_url` names; it connects at its first use.

    `conf` has the options of `coffer.wire.options.register`. `rabbit://` and `kombu+memory://` are supported;
    transports on the latter reach each other within one process.

    Raises:
        ValueError: if it is no URL of a transport; it is not quoted.
    """
    return RpcTransport(
        oslo().Messaging(conf), topic_prefix=conf.rpc_topic_prefix, send_timeout_s=conf.rpc_cast_timeout_s
    )


def publisher(conf: cfg.ConfigOpts, *, has_collector: bool = False) -> Publisher:
    """Return the publisher for the broker that `[oslo_messaging_notifications] transport_url` names.

    Without it, that is `transport_url`. RabbitMQ is published to in confirmed batches, all else one by one.
    With `has_collector` the collector's queue is made before anything is published, even if the collector
    comes later.

    Raises:
        ValueError: if it is no URL of a transport; it is not quoted.
    """
    adapter = oslo()
    if adapter.is_rabbitmq(conf):
        from coffer.wire.amqp_publisher import AmqpPublisher

        queue = conf.collector_queue if has_collector else None
        return AmqpPublisher(replace(adapter.amqp_settings(conf), extra_queue=queue))
    from coffer.wire.oslo_publisher import OsloPublisher

    topics = conf.oslo_messaging_notifications.topics
    return OsloPublisher(adapter.Notifications(conf), topics=topics, timeout_s=conf.publish_timeout_s)


def consumer(conf: cfg.ConfigOpts, handler: "Handler") -> "Consumer":
    """Return the stopped consumer of notifications, which hands them to `handler`.

    Raises:
        ValueError: if notifications do not go to RabbitMQ (nothing else has queues of our own), or nowhere.
    """
    from coffer.wire.consumer import Consumer

    adapter = oslo()
    if not adapter.is_rabbitmq(conf):
        raise ValueError("the collector needs notifications on RabbitMQ (a transport_url rabbit://…)")
    return Consumer(
        adapter.amqp_settings(conf),
        queue=conf.collector_queue,
        prefetch=conf.collector_prefetch,
        handler=handler,
    )


def broker_watch(
    conf: cfg.ConfigOpts, *, name: str, topic: str | None = None, server: str | None = None
) -> "BrokerWatch | None":
    """Return the watch over the broker of RPC for the service `name`, not started; None if that is no broker.

    A service that listens names its `topic` and itself, `server`.

    Raises:
        ValueError: if `transport_url` is no URL of a transport; it is not quoted.
    """
    from coffer.wire.broker_watch import BrokerWatch

    adapter = oslo()
    if not adapter.is_rpc_on_rabbitmq(conf):
        return None
    own = () if topic is None else (topic, f"{topic}.{server}")
    queues = tuple(f"{conf.rpc_topic_prefix or ''}{queue}" for queue in own)
    return BrokerWatch(adapter.rpc_amqp_settings(conf), name=name, queues=queues)
