"""The adapter to oslo.messaging, the only file that imports it; it takes and gives plain values.

Import it through `coffer.wire.transport.oslo()`, which keeps its cost and its import-time warnings in one
place.
"""
# ruff: noqa: TID251 - this is the one module of coffer that meets oslo.messaging

import contextlib
import importlib
import logging
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kombu.exceptions
import oslo_messaging
from oslo_config import cfg
from oslo_messaging import dispatcher as oslo_dispatcher
from oslo_messaging import opts as oslo_messaging_opts
from oslo_messaging._drivers import amqpdriver, impl_rabbit
from oslo_messaging._drivers import common as driver_common
from oslo_messaging.rpc import server as oslo_rpc_server

from coffer.wire import memory_broker
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings
from coffer.wire.channel import Handler
from coffer.wire.delivery import NoReplyError, NotDeliveredError
from coffer.wire.envelope import envelope_of, open_envelope

LOG = logging.getLogger(__name__)

memory_broker.install()

_AMQP_PORT = 5672
_POLL_S = 0.25
"""How soon an idle listener notices that it is to stop; oslo.messaging's own is up to 5 s."""

_SEND_ERRORS = (
    oslo_messaging.exceptions.MessagingException,
    kombu.exceptions.KombuError,
    kombu.exceptions.OperationalError,
    driver_common.RPCException,
    OSError,
)


def register_options(conf: cfg.ConfigOpts, *, exchange: str) -> None:
    """Register all of oslo.messaging's options, with coffer's defaults.

    Durable queues are the default here, unlike oslo.messaging's: the others lose confirmed messages when the
    broker restarts. A broker that was used the other way is reported as a mismatch.
    """
    for group, options in oslo_messaging_opts.list_opts():
        conf.register_opts(options, group=group)
    for feature in ("tracing", "metrics"):
        # Read at every message, but registered on the global configuration only; older releases lack tracing.
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"oslo_messaging._{feature}.client")
            name = f"oslo_messaging_{feature}"
            conf.register_opts(getattr(module, name), group=name)
    conf.set_default("control_exchange", exchange)
    conf.set_default("executor_thread_pool_size", 16)
    # A broker that comes back is found within seconds, not half a minute.
    conf.set_default("rabbit_interval_max", 3, group="oslo_messaging_rabbit")
    conf.set_default("amqp_durable_queues", True, group="oslo_messaging_rabbit")


class _NodeName(dict[str, Any]):
    """TLS parameters in which kombu fills in the name of each node that it tries, not only of the first.

    It does so where it finds none, and finds the one that it filled in before; the certificate of the next node is
    for another name. What is unpacked from here has the name.
    """

    def __getitem__(self, name: str) -> Any:
        return None if name == "server_hostname" else super().__getitem__(name)


class _Connection(impl_rabbit.Connection):  # type: ignore[misc]  # oslo.messaging is untyped
    """oslo.messaging's connection, which stops sooner and never waits for ever to be made.

    Without `retry` it would, holding locks that every later call needs; once made, it reconnects by itself.
    """

    def __init__(self, conf: Any, url: Any, purpose: Any, retry: int | None = None) -> None:
        super().__init__(conf, url, purpose, retry=0 if retry is None else retry)
        self._poll_timeout: float = min(self._poll_timeout, _POLL_S)

    def _fetch_ssl_params(self) -> Any:
        """Return what TLS needs, with the name of whichever node is connected to."""
        parameters = super()._fetch_ssl_params()
        is_open = isinstance(parameters, dict) and parameters.get("server_hostname", "") is None
        return _NodeName(parameters) if is_open else parameters

    def ensure_connection(self) -> None:
        """Connect, if that is to be done."""
        self._close_dead()
        super().ensure_connection()

    def ensure(self, *args: Any, **kwargs: Any) -> Any:
        """Do what is to be done, over a new connection if the old one is dead."""
        self._close_dead()
        return super().ensure(*args, **kwargs)

    def _close_dead(self) -> None:
        """Close a connection that will be replaced: kombu only forgets it, and its socket stays open."""
        dead = self.connection._connection  # noqa: SLF001 - kombu gives no other way to it
        if dead is not None and not self.connection.connected:
            dead.collect()


class _Dispatcher(oslo_dispatcher.DispatcherBase):  # type: ignore[misc]  # oslo.messaging is untyped
    """Hands every message to one handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def dispatch(self, incoming: Any) -> object:
        """Return the reply to `incoming`."""
        return self._handler(incoming.ctxt, incoming.message)


class Listener:
    """Receives the messages of a topic, in threads of its own."""

    def __init__(self, server: Any) -> None:
        """Wrap oslo.messaging's server, which starts once and stops once."""
        # oslo.messaging's own pool lets idle threads wait for a second before they see that it ends.
        server._executor_cls = ThreadPoolExecutor  # noqa: SLF001
        self._server = server

    def start(self) -> None:
        """Declare the queues and begin to receive.

        Raises:
            NotDeliveredError: if the broker is not there.
        """
        try:
            self._server.start()
        except _SEND_ERRORS as error:
            raise NotDeliveredError(_reason(error)) from error

    def stop(self) -> None:
        """Receive nothing more; what is being handled goes on."""
        self._server.stop()

    def wait(self) -> None:
        """Wait until everything received is handled, then close the connection."""
        self._server.wait()


class Messaging:
    """One connection pool to one broker (or to the one inside this process)."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Use the broker that `transport_url` of `conf` names; connects at the first use.

        Raises:
            ValueError: if that is no URL of a transport.
        """
        with _url_errors():
            if _is_in_memory(oslo_messaging.TransportURL.parse(conf)):
                # Nothing can break there, and asking for a heartbeat is a warning for each connection.
                conf.set_default("heartbeat_timeout_threshold", 0, group="oslo_messaging_rabbit")
            self._transport = oslo_messaging.get_rpc_transport(conf)
        self._exchange = conf.control_exchange
        driver = self._transport._driver  # noqa: SLF001 - no public way to the connection class
        self._in_memory = _is_in_memory(driver._url)  # noqa: SLF001
        if hasattr(driver, "_connection_pool"):
            driver._connection_pool.connection_cls = _Connection  # noqa: SLF001
        self._options = oslo_messaging.TransportOptions(at_least_once=True)

    def send(
        self,
        topic: str,
        server: str | None,
        context: dict[str, Any],
        message: dict[str, Any],
        *,
        reply_timeout_s: float | None,
    ) -> object:
        """Send `message`, and return the reply if `reply_timeout_s` says that one is awaited.

        Raises:
            NotDeliveredError: if the broker is away, or has no queue for it.
            NoReplyError: if it was sent, and no reply came in time.
        """
        target = oslo_messaging.Target(topic=topic, server=server)
        self._refuse_unroutable(topic if server is None else f"{topic}.{server}")
        try:
            return self._transport._send(  # noqa: SLF001 - what RPCClient calls; it has no public name
                target,
                context,
                message,
                wait_for_reply=reply_timeout_s is not None or None,
                timeout=reply_timeout_s,
                retry=0,
                transport_options=self._options,
            )
        except oslo_messaging.MessagingTimeout as error:
            raise NoReplyError(f"no reply in {reply_timeout_s} s") from error
        except oslo_messaging.MessageUndeliverable:
            # Not chained: the exception holds the message, and that may hold a password.
            raise NotDeliveredError(f"nobody has a queue for {topic}") from None
        except _SEND_ERRORS as error:
            raise NotDeliveredError(_reason(error)) from error

    def listener(self, topic: str, server: str, handler: Handler) -> Listener:
        """Return a stopped listener whose messages go to `handler`."""
        target = oslo_messaging.Target(topic=topic, server=server)
        return Listener(oslo_rpc_server.RPCServer(self._transport, target, _Dispatcher(handler)))

    def declare(self, topic: str, server: str) -> None:
        """Make the queues of a listener that is still to come, so that what is sent to it waits.

        Raises:
            NotDeliveredError: if the broker is not there.
        """
        target = oslo_messaging.Target(topic=topic, server=server)
        try:
            self._transport._listen(target, 1, None).cleanup()  # noqa: SLF001 - as above
        except _SEND_ERRORS as error:
            raise NotDeliveredError(_reason(error)) from error

    def close(self) -> None:
        """Close every connection."""
        self._transport.cleanup()

    def _refuse_unroutable(self, key: str) -> None:
        """The in-memory broker has no mandatory flag: it drops what nobody has a queue for."""
        if self._in_memory and not memory_broker.is_routable(self._exchange, key):
            raise NotDeliveredError(f"nobody has a queue for {key}")


class Notifications:
    """Sends sealed notifications through whatever driver the URL names."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Use the broker of `[oslo_messaging_notifications] transport_url`, or else of `transport_url`.

        Raises:
            ValueError: if that is no URL of a transport.
        """
        with _url_errors():
            self._transport = oslo_messaging.get_notification_transport(conf)
        driver = self._transport._driver  # noqa: SLF001 - no public way to know
        self._has_envelopes = isinstance(driver, amqpdriver.AMQPDriverBase)

    def send(self, topic: str, body: bytes) -> None:
        """Send one, once.

        Raises:
            NotDeliveredError: if the transport says so.
        """
        target = oslo_messaging.Target(topic=topic)
        context: dict[str, Any] = {}
        if self._has_envelopes:
            # Passed off as a message without envelope, the envelope goes out as it was sealed, its ids
            # included.
            message, version = envelope_of(body), 1.0
        else:
            message, version = open_envelope(body), 2.0
            for key in [key for key in message if key.startswith("_context_")]:
                context[key.removeprefix("_context_")] = message.pop(key)
        try:
            self._transport._send_notification(target, context, message, version, retry=0)  # noqa: SLF001
        except _SEND_ERRORS as error:
            raise NotDeliveredError(_reason(error)) from error

    def close(self) -> None:
        """Close every connection."""
        self._transport.cleanup()


def is_rabbitmq(conf: cfg.ConfigOpts) -> bool:
    """True when notifications go to RabbitMQ itself, and not to one of kombu's or oslo.messaging's others."""
    return _notification_url(conf).transport in {"rabbit", "amqp"}


def is_rpc_on_rabbitmq(conf: cfg.ConfigOpts) -> bool:
    """True when RPC goes over RabbitMQ itself."""
    return _rpc_url(conf).transport in {"rabbit", "amqp"}


def amqp_settings(conf: cfg.ConfigOpts) -> AmqpSettings:
    """Return how notifications reach RabbitMQ, with the options that the URL itself may carry."""
    return _settings_of(conf, _notification_url(conf))


def rpc_amqp_settings(conf: cfg.ConfigOpts) -> AmqpSettings:
    """Return how RPC reaches RabbitMQ, likewise."""
    return _settings_of(conf, _rpc_url(conf))


def _settings_of(conf: cfg.ConfigOpts, url: Any) -> AmqpSettings:
    options = driver_common.ConfigOptsProxy(conf, url, "oslo_messaging_rabbit").oslo_messaging_rabbit
    hosts = [
        AmqpHost(
            host=host.hostname or "localhost",
            port=host.port or _AMQP_PORT,
            user=host.username or "guest",
            password=host.password or "guest",
        )
        for host in url.hosts or [oslo_messaging.TransportHost()]
    ]
    quorum_limits = impl_rabbit.QuorumMemConfig(
        options.rabbit_quorum_delivery_limit,
        options.rabbit_quorum_max_memory_length,
        options.rabbit_quorum_max_memory_bytes,
    )
    arguments = impl_rabbit._get_queue_arguments(  # noqa: SLF001 - queues must be declared exactly alike
        options.rabbit_ha_queues, 0, options.rabbit_quorum_queue, quorum_limits, False
    )
    return AmqpSettings(
        hosts=tuple(hosts),
        virtual_host=url.virtual_host or "/",
        exchange=conf.control_exchange,
        topics=tuple(conf.oslo_messaging_notifications.topics),
        durable=options.amqp_durable_queues or options.rabbit_quorum_queue,
        auto_delete=options.amqp_auto_delete,
        queue_arguments=arguments,
        tls=_tls(options),
        login_method=options.rabbit_login_method,
        heartbeat_s=options.heartbeat_timeout_threshold,
        timeout_s=conf.publish_timeout_s,
    )


def guest_url(conf: cfg.ConfigOpts, account: str, passwords: Sequence[str]) -> str:
    """Return our `transport_url` with another account, which has the first of the passwords that the broker takes.

    Who connects tries the nodes of a URL in turn, so each stands in it once a password. Our own certificate is not
    for others.
    """
    with _url_errors():
        url = oslo_messaging.TransportURL.parse(conf, conf.transport_url)
    nodes = url.hosts or [oslo_messaging.TransportHost(hostname="localhost")]
    hosts = [
        oslo_messaging.TransportHost(node.hostname, node.port, account, password)
        for password in passwords
        for node in nodes
    ]
    query = {
        name: value for name, value in url.query.items() if name not in {"ssl_key_file", "ssl_cert_file"}
    }
    return str(oslo_messaging.TransportURL(conf, url.transport, url.virtual_host, hosts, query))


def _rpc_url(conf: cfg.ConfigOpts) -> Any:
    with _url_errors():
        return oslo_messaging.TransportURL.parse(conf)


def _notification_url(conf: cfg.ConfigOpts) -> Any:
    with _url_errors():
        return oslo_messaging.TransportURL.parse(conf, conf.oslo_messaging_notifications.transport_url)


@contextlib.contextmanager
def _url_errors() -> Iterator[None]:
    """Say in a sentence what is wrong with a URL; without the URL, which may hold a password."""
    try:
        yield
    except oslo_messaging.InvalidTransportURL as error:
        raise ValueError(f"it is no URL of a transport: {error}") from None
    except oslo_messaging.DriverLoadFailure as error:
        raise ValueError(f"there is no transport {error.driver}") from None


def _is_in_memory(url: Any) -> bool:
    return str(url.transport) == "kombu+memory"


def _tls(options: Any) -> dict[str, object] | None:
    if not options.ssl:
        return None
    names = {
        "keyfile": options.ssl_key_file,
        "certfile": options.ssl_cert_file,
        "ca_certs": options.ssl_ca_file,
    }
    parameters: dict[str, object] = {name: value for name, value in names.items() if value}
    if options.ssl_ca_file:
        parameters["cert_reqs"] = ssl.CERT_REQUIRED
    if options.ssl_version:
        parameters["ssl_version"] = impl_rabbit.Connection.validate_ssl_version(options.ssl_version)
    return parameters


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
