"""Remote procedure calls with data only: no class path, no exception object crosses a process border.

A reply is `{"result": …}` or `{"error": {"code", "data"}}`; the code is one of the catalogue's.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from coffer.catalogue.errors import CofferError, DispatchFailed
from coffer.wire.channel import Channel, Handler, Listening, ServedChannel
from coffer.wire.context import TroveContext
from coffer.wire.delivery import Delivery, NoReplyError, NotDeliveredError
from coffer.wire.dispatcher import Dispatcher
from coffer.wire.json import JSON
from coffer.wire.rpc_errors import error_from_json
from coffer.wire.versions import FIRST, Added, fitted, number

if TYPE_CHECKING:
    from coffer.wire.oslo import Listener, Messaging

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

_RETRY_PAUSE_S = 0.25
_DEAF_S = 10.0
"""How long a listener may take to stop listening; a frozen broker makes it longer."""


class RpcTimeout(Exception):  # noqa: N818 - the name that the other floors agreed on
    """No answer came in time; what was asked for may have been done."""


class RpcTransport:
    """A way to a broker, with limits on every wait; shared by the clients and servers of a process."""

    def __init__(self, messaging: "Messaging", *, topic_prefix: str, send_timeout_s: float) -> None:
        """Use `messaging`, whose topics all begin with `topic_prefix`."""
        self._messaging = messaging
        self._prefix = topic_prefix
        self._delivery = Delivery()
        self._send_timeout_s = send_timeout_s

    def send(
        self,
        topic: str,
        server: str | None,
        context: dict[str, Any],
        message: dict[str, Any],
        *,
        reply_timeout_s: float | None = None,
    ) -> object:
        """Send, trying again until the limit; return the reply if `reply_timeout_s` says that one is awaited.

        Raises:
            NotDeliveredError: if the broker did not take it in time. It may still arrive later.
            NoReplyError: if no reply came in time.
        """

        def once() -> object:
            # The library writes into the message, so each attempt has its own.
            return self._messaging.send(
                self._prefix + topic, server, dict(context), dict(message), reply_timeout_s=reply_timeout_s
            )

        if reply_timeout_s is None:
            return self._persist(once, self._send_timeout_s, self._send_timeout_s)
        send_limit_s = min(self._send_timeout_s, reply_timeout_s)
        return self._persist(once, send_limit_s, send_limit_s + reply_timeout_s)

    def listener(self, topic: str, server: str, handler: Handler) -> "Listener":
        """Return a stopped listener."""
        return self._messaging.listener(self._prefix + topic, server, handler)

    def declare(self, topic: str, server: str) -> None:
        """Make the queues of a listener to come, so that what is sent to it meanwhile waits for it.

        Raises:
            NotDeliveredError: if the broker is not there.
        """

        def once() -> None:
            self._messaging.declare(self._prefix + topic, server)

        self._persist(once, self._send_timeout_s, self._send_timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Close every connection; those of a frozen broker end with the process."""
        if not _done_within(timeout_s, self._messaging.close, "close rpc transport"):
            LOG.warning("rpc transport not closed in time timeout_s=%s", timeout_s)

    def _persist(self, once: Callable[[], Result], retry_s: float, limit_s: float) -> Result:
        """Try for `retry_s`, and wait for the last attempt until `limit_s`."""
        last_try = time.monotonic() + retry_s - _RETRY_PAUSE_S

        def attempts(abandoned: threading.Event) -> Result:
            while True:
                try:
                    return once()
                except NotDeliveredError:
                    if time.monotonic() >= last_try or abandoned.wait(_RETRY_PAUSE_S):
                        raise

        return self._delivery.within(limit_s, attempts)


class RpcClient:
    """Calls the methods of whoever listens to a topic."""

    def __init__(
        self,
        transport: Channel,
        *,
        topic: str,
        service: str,
        version: str = FIRST,
        server: str | None = None,
        added: Sequence[Added] = (),
        pin: str | None = None,
    ) -> None:
        """Speak to `topic` (or to one `server` of it), at least in `version`; `service` is its name for people.

        `added` is what the contract got after its first version; who is asked knows what came up to `pin`.
        """
        self._version = version
        self._transport = transport
        self._topic = topic
        self._server = server
        self._service = service
        self._added = added
        self._pin = pin

    def cast(self, ctx: TroveContext, method: str, /, **args: JSON) -> None:
        """Have `method` done; return when the broker has taken the message.

        It may be done twice when a connection breaks at the wrong moment.

        Raises:
            DispatchFailed: if the broker did not take it in time, or has no queue for it.
            PeerTooOld: if it needs a newer server than the operator says is there.
        """
        message = self._message(method, args)
        try:
            self._transport.send(self._topic, self._server, ctx.to_dict(), message)
        except NotDeliveredError as error:
            LOG.warning("rpc not sent topic=%s method=%s reason=%s", self._topic, method, error)
            raise DispatchFailed(service=self._service) from error

    def call(self, ctx: TroveContext, method: str, /, *, timeout_s: float, **args: JSON) -> JSON:
        """Have `method` done and return what it returned.

        Raises:
            RpcTimeout: if no answer came in `timeout_s`.
            DispatchFailed: if the broker did not take it in time, or has no queue for it.
            PeerTooOld: if it needs a newer server than the operator says is there.
            CofferError: what the other side raised.
        """
        message = self._message(method, args)
        try:
            reply = self._transport.send(
                self._topic, self._server, ctx.to_dict(), message, reply_timeout_s=timeout_s
            )
        except NoReplyError as error:
            raise RpcTimeout(f"{self._topic} {method}: {error}") from error
        except NotDeliveredError as error:
            LOG.warning("rpc not sent topic=%s method=%s reason=%s", self._topic, method, error)
            raise DispatchFailed(service=self._service) from error
        return _result(reply)

    def _message(self, method: str, args: Mapping[str, JSON]) -> dict[str, Any]:
        needed, fitting = fitted(method, args, service=self._service, added=self._added, pin=self._pin)
        return {"method": method, "args": fitting, "version": max(self._version, needed, key=number)}


def _result(reply: object) -> JSON:
    """Return the result in a reply, or raise the error that it names; neither is a failure of ours."""
    if not isinstance(reply, dict):
        raise CofferError
    error = reply.get("error")
    if error is None:
        return cast("JSON", reply.get("result"))
    raise error_from_json(error)


class RpcServer:
    """Serves the methods of a contract with an endpoint, a thread a message."""

    def __init__(
        self,
        transport: ServedChannel,
        *,
        topic: str,
        server: str,
        endpoint: object,
        version: str,
        methods: frozenset[str],
    ) -> None:
        """Serve `methods` of `endpoint`, and nothing else that it may have, to whoever sends to `topic`.

        `server` tells the servers of one topic apart.

        Raises:
            TypeError: if the endpoint lacks a method.
        """
        lacking = sorted(name for name in methods if not callable(getattr(endpoint, name, None)))
        if lacking:
            raise TypeError(f"{type(endpoint).__name__} does not serve {', '.join(lacking)} of {topic}")
        self._dispatcher = Dispatcher(topic=topic, endpoint=endpoint, version=version, methods=methods)
        self._transport = transport
        self._topic = topic
        self._server = server
        self._listener: Listening | None = None

    def start(self) -> None:
        """Begin to serve.

        Raises:
            NotDeliveredError: if the broker is not there.
        """
        if self._listener is not None:
            return
        listener = self._transport.listener(self._topic, self._server, self._dispatcher.handle)
        listener.start()
        # Only now: after a failure the next call tries again, with a new listener.
        self._listener = listener

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Take nothing more, and wait for what is being done; False if it was not finished in `timeout_s`."""
        listener, self._listener = self._listener, None
        if listener is None:
            return True

        # However short the time for the work is: who still received would take what it hands on to others.
        is_deaf = _done_within(max(timeout_s, _DEAF_S), listener.stop, f"stop {self._topic}")
        is_done = is_deaf and _done_within(timeout_s, listener.wait, f"end {self._topic}")
        if not is_done:
            LOG.warning("rpc server not stopped in time topic=%s timeout_s=%s", self._topic, timeout_s)
        return is_done


def _done_within(timeout_s: float, work: Callable[[], None], name: str) -> bool:
    """Do `work` in a thread that nobody waits for at exit; False if it goes on after `timeout_s`."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()
