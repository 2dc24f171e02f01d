"""A guest's end of its channel: one queue to read, one exchange to publish to, nothing to declare."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from coffer.catalogue.errors import GuestFailed
from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.channel import Handler
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.guest_access import GuestAccess
from coffer.wire.rpc_errors import error_to_json
from coffer.wire.sealed import frames
from coffer.wire.sealed.book import BookUnavailableError, ChannelBook, NoChannelError
from coffer.wire.sealed.frames import Answer, Direction, FrameRefusedError, Request
from coffer.wire.sealed.inbox import Inbox, Rest, TryLaterError
from coffer.wire.sealed.pending import Pending
from coffer.wire.sealed.post import Post
from coffer.wire.sealed.reader import Opened, Reader, Refusals

LOG = logging.getLogger(__name__)

_CONTROL_PLANE = ""
"""Who is asked, in the books of answers: a guest knows one other."""
_THREADS = 16
_PREFETCH = 512
"""Answers come behind what waits for a thread; so much of that may lie before them."""
_CAST_KEPT_S = 60.0
"""How long a sign of life waits for a conductor: later ones follow."""
_REPORT_KEPT_S = 120.0
"""How long a report does: it is sent again until it is answered."""
_ANSWER_KEPT_S = 60.0


class GuestLink:
    """A `ServedChannel` between one guest and the control plane."""

    def __init__(
        self,
        settings: AmqpSettings,
        book: ChannelBook,
        access: GuestAccess,
        *,
        instance_id: str,
        send_timeout_s: float,
    ) -> None:
        """Speak for an instance, whose keys and numbers are in `book`, through the guest's own account."""
        self._settings = settings
        self._book = book
        self._access = access
        self._instance_id = instance_id
        self._send_timeout_s = send_timeout_s
        self._post = Post(settings, name=f"guest-{instance_id}", parallel=4)
        self._inboxes: list[Inbox] = []
        self.pending = Pending()
        self.refusals = Refusals("guest")
        self._reader = Reader(book, Direction.GUEST, instance_id=instance_id, limit_bytes=frames.LIMIT_BYTES)

    def send(
        self,
        topic: str,
        server: str | None,
        context: dict[str, Any],
        message: dict[str, Any],
        *,
        reply_timeout_s: float | None = None,
    ) -> object:
        """See `Channel`; there is nobody but the conductor."""
        del topic, server
        with self.pending.asking(_CONTROL_PLANE) as wait:
            request = Request(
                id=wait.id,
                context=context,
                method=message["method"],
                args=message["args"],
                version=message["version"],
                # To whom is no choice of a guest's: what it has asked is answered into its own queue.
                reply_to=None if reply_timeout_s is None else "",
            )
            kept_s = _CAST_KEPT_S if reply_timeout_s is None else _REPORT_KEPT_S
            self._put(request, expires_s=kept_s)
            return None if reply_timeout_s is None else wait.result(reply_timeout_s)

    def listener(self, topic: str, server: str, handler: Handler) -> "GuestListener":
        """See `ServedChannel`. Answers to what the guest asks come this way, too."""
        del topic, server
        inbox = Inbox(
            self._settings,
            name=f"guest-{self._instance_id}",
            opened=self._open_queue,
            handler=partial(self._take, handler),
            express=self._take_answer,
            threads=_THREADS,
            prefetch=_PREFETCH,
        )
        self._inboxes.append(inbox)
        return GuestListener(inbox)

    def renew(self, settings: AmqpSettings) -> None:
        """Log in with other settings from the next connection on."""
        self._settings = settings
        self._post.renew(settings)
        for inbox in self._inboxes:
            inbox.renew(settings)

    def close(self) -> None:
        """Close every connection."""
        self._post.close()

    def _open_queue(self, link: AmqpLink) -> str:
        del link
        return self._access.guest_queue(self._instance_id)

    def _put(self, inner: Request | Answer, *, expires_s: float) -> None:
        try:
            outgoing = self._book.outgoing(self._instance_id)
        except (NoChannelError, BookUnavailableError) as error:
            raise NotDeliveredError(f"no channel to the control plane: {error}") from error
        body = frames.seal(Direction.CONTROL, self._instance_id, outgoing, inner)
        if len(body) > frames.ANSWER_LIMIT_BYTES:
            raise _TooLongError(f"a message of {len(body)} bytes is too long")
        self._post.send(
            body, self._access.conductor_queue, timeout_s=self._send_timeout_s, expires_s=expires_s
        )

    def _take_answer(self, body: bytes) -> bool:
        """Take what must not wait for a thread: the threads may all be waiting for answers to their reports."""
        opened = self._read(self._reader.open, body)
        if opened is None:
            return True
        answer = opened.inner
        if isinstance(answer, Request):
            return False
        if self._read(self._reader.accept, body) is not None:
            self.pending.settle(_CONTROL_PLANE, answer.id, answer.reply)
        return True

    def _take(self, handler: Handler, body: bytes) -> Rest | None:
        opened = self._read(self._reader.accept, body)
        if opened is None or not isinstance(opened.inner, Request):
            return None
        return partial(self._serve, handler, opened.inner)

    def _read(self, read: Callable[[bytes], Opened], body: bytes) -> Opened | None:
        """Return what was sent, None if it is refused, which is noted."""
        try:
            return read(body)
        except FrameRefusedError as refusal:
            self.refusals.note(refusal.reason, refusal.instance_id)
            return None
        except BookUnavailableError as error:
            raise TryLaterError(str(error)) from error

    def _serve(self, handler: Handler, request: Request) -> None:
        message = {"method": request.method, "args": request.args, "version": request.version}
        reply = handler(request.context, message)
        if request.reply_to is None or not isinstance(reply, dict):
            return
        answer = partial(Answer, id=request.id, reply_to=request.reply_to)
        try:
            try:
                self._put(answer(reply=reply), expires_s=_ANSWER_KEPT_S)
            except _TooLongError:
                error = GuestFailed(reason="The answer is too long to be sent.")
                self._put(answer(reply={"error": error_to_json(error)}), expires_s=_ANSWER_KEPT_S)
        except NotDeliveredError as error:
            LOG.warning("answer not sent method=%s reason=%s", request.method, error)


class GuestListener:
    """What `GuestLink.listener` returns."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def start(self) -> None:
        """Begin to receive; a broker that is away is waited for."""
        self._inbox.start()

    def stop(self) -> None:
        """Receive nothing more; what is being handled goes on."""
        self._inbox.halt()

    def wait(self) -> None:
        """Wait until everything received is handled."""
        self._inbox.stop()


class _TooLongError(NotDeliveredError):
    """Nobody would read it."""
