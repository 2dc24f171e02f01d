"""The control plane's end of the guests' channels: sends sealed messages, and waits for sealed answers.

A guest answers to the conductor, which passes the answer on, sealed as it is, to the process that asked. So nothing in
the queue of answers is believed for being there.
"""

import logging
import secrets
import threading
import time
from typing import Any

from coffer.wire.amqp_link import AmqpLink
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.guest_access import GuestAccess
from coffer.wire.sealed import frames
from coffer.wire.sealed.book import BookUnavailableError, ChannelBook, NoChannelError
from coffer.wire.sealed.frames import Answer, Direction, FrameRefusedError, Refusal, Request
from coffer.wire.sealed.inbox import Inbox
from coffer.wire.sealed.pending import Pending
from coffer.wire.sealed.post import Post, UnroutableError
from coffer.wire.sealed.reader import Opened, Reader, Refusals

LOG = logging.getLogger(__name__)

ANSWERS = "coffer-answers."
"""What the queues of answers begin with; each is one process's, for as long as one connection lasts."""
_ANSWER_KEPT_S = 60.0
_PAUSE_S = 0.5
_THREADS = 4
MOST_QUESTIONS = 4
"""To one guest, of one process at a time: half of the calls that an API serves at a time."""
_TURN_S = 1.0
"""How long the next one waits for its turn, which a guest that is well gives within milliseconds."""


class SealedTransport:
    """A `GuestsChannel` on RabbitMQ. It connects at its first use; a process that forks must not use it before."""

    def __init__(
        self, settings: AmqpSettings, book: ChannelBook, access: GuestAccess, *, send_timeout_s: float
    ) -> None:
        """Speak in the name of the control plane, whose book of channels is `book`."""
        self._settings = settings
        self._book = book
        self._access = access
        self._send_timeout_s = send_timeout_s
        self._post = Post(settings, name="coffer-guests")
        self.pending = Pending()
        self.refusals = Refusals("answers")
        self._reader = Reader(book, Direction.CONTROL, limit_bytes=frames.ANSWER_LIMIT_BYTES)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._inbox: Inbox | None = None
        self._answers_queue = ""

    def send(
        self,
        topic: str,
        server: str | None,
        context: dict[str, Any],
        message: dict[str, Any],
        *,
        reply_timeout_s: float | None = None,
    ) -> object:
        """See `Channel`. The topic of a guest names its instance."""
        del server
        instance_id = self._access.instance_of(topic)
        most = None if reply_timeout_s is None else MOST_QUESTIONS
        with self.pending.asking(instance_id, most=most, turn_s=_TURN_S) as wait:
            reply_to = None
            limit_s = self._send_timeout_s
            if reply_timeout_s is not None:
                limit_s = min(limit_s, reply_timeout_s)
                reply_to = self.listening(limit_s)
            request = Request(
                id=wait.id,
                context=context,
                method=message["method"],
                args=message["args"],
                version=message["version"],
                reply_to=reply_to,
            )
            self._put(instance_id, request, timeout_s=limit_s, expires_s=reply_timeout_s)
            return None if reply_timeout_s is None else wait.result(reply_timeout_s)

    def answer(self, instance_id: str, question_id: str, reply: dict[str, Any]) -> None:
        """Answer what a guest has asked.

        Raises:
            NotDeliveredError: the broker does not take it.
        """
        answer = Answer(id=question_id, reply=reply)
        self._put(instance_id, answer, timeout_s=self._send_timeout_s, expires_s=_ANSWER_KEPT_S)

    def pass_on(self, body: bytes, reply_to: str) -> None:
        """Give a guest's answer, as it is, to the process that asked; one that is gone does not matter.

        Raises:
            NotDeliveredError: the broker does not take it.
        """
        try:
            self._post.send(body, reply_to, timeout_s=self._send_timeout_s, expires_s=_ANSWER_KEPT_S)
        except UnroutableError:
            LOG.info("answer comes too late: who asked is gone")

    def declare(self, topic: str, server: str) -> None:
        """See `GuestsChannel`."""
        del server
        self._declare(self._access.instance_of(topic), self._send_timeout_s)

    def remove(self, instance_id: str) -> None:
        """Delete the queue of a guest that is gone, with what is in it.

        Raises:
            NotDeliveredError: if the broker is not there.
        """
        queue = self._access.guest_queue(instance_id)
        self._post.manage(lambda link: link.delete_queue(queue), timeout_s=self._send_timeout_s)

    def close(self) -> None:
        """Close every connection."""
        self._closing.set()
        with self._lock:
            inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.stop()
        self._post.close()

    def _put(
        self, instance_id: str, inner: Request | Answer, *, timeout_s: float, expires_s: float | None
    ) -> None:
        until_s = time.monotonic() + timeout_s
        try:
            outgoing = self._book.outgoing(instance_id)
        except (NoChannelError, BookUnavailableError) as error:
            raise NotDeliveredError(f"no channel to the guest: {error}") from error
        body = frames.seal(Direction.GUEST, instance_id, outgoing, inner)
        if len(body) > frames.LIMIT_BYTES:
            raise NotDeliveredError(f"a message of {len(body)} bytes is too long")
        queue = self._access.guest_queue(instance_id)
        try:
            self._post.send(body, queue, timeout_s=timeout_s, expires_s=expires_s)
        except UnroutableError:
            # The broker was made anew, perhaps. The guest itself may declare nothing.
            LOG.warning("queue of a guest is missing and is made instance_id=%s", instance_id)
            self._declare(instance_id, max(until_s - time.monotonic(), 0))
            self._post.send(body, queue, timeout_s=max(until_s - time.monotonic(), 0), expires_s=expires_s)

    def _declare(self, instance_id: str, timeout_s: float) -> None:
        queue, durable = self._access.guest_queue(instance_id), self._settings.durable

        def declare(link: AmqpLink) -> None:
            link.declare_exchange()
            declare_conductor(link, self._access)
            link.declare_queue(queue, (queue,), durable=durable, auto_delete=False)

        self._post.manage(declare, timeout_s=timeout_s)

    def listening(self, timeout_s: float) -> str:
        """Return the name of the queue where answers are awaited.

        Raises:
            NotDeliveredError: if there is none in time.
        """
        with self._lock:
            if self._inbox is None:
                self._inbox = Inbox(
                    self._settings,
                    name="coffer-answers",
                    opened=self._open_answers,
                    handler=self._take,
                    threads=_THREADS,
                )
                self._inbox.start()
            inbox = self._inbox
        if not inbox.is_connected.wait(timeout_s):
            raise NotDeliveredError("the broker does not give us a queue for answers")
        return self._answers_queue

    def _open_answers(self, link: AmqpLink) -> str:
        # A name a connection: the broker may still hold the queue of one that broke.
        name = f"{self._access.prefix}{ANSWERS}{secrets.token_hex(16)}"
        link.declare_exchange()
        link.declare_own_queue(name)
        self._answers_queue = name
        return name

    def _take(self, body: bytes) -> None:
        try:
            opened = self._open_patiently(body)
        except FrameRefusedError as refusal:
            self.refusals.note(refusal.reason, refusal.instance_id)
            return
        except BookUnavailableError as error:
            LOG.warning("answer cannot be opened reason=%s", error)
            return
        if not isinstance(opened.inner, Answer):
            self.refusals.note(Refusal.UNEXPECTED, opened.instance_id)
            return
        is_settled = self.pending.settle(opened.instance_id, opened.inner.id, opened.inner.reply)
        if is_settled is False:
            self.refusals.note(Refusal.UNEXPECTED, opened.instance_id)
        elif is_settled is None:
            LOG.info("answer comes too late instance_id=%s", opened.instance_id)

    def _open_patiently(self, body: bytes) -> Opened:
        """Open an answer. Not with TryLaterError: the queue goes with its connection, and every other answer with it.

        Raises:
            FrameRefusedError: it is not to be believed.
            BookUnavailableError: the database stays away.
        """
        until_s = time.monotonic() + _ANSWER_KEPT_S
        while True:
            try:
                return self._reader.open(body)
            except BookUnavailableError:
                if time.monotonic() >= until_s or self._closing.wait(_PAUSE_S):
                    raise


def declare_conductor(link: AmqpLink, access: GuestAccess) -> str:
    """Make the way from the guests to the conductor, so that what they say waits for one; return its queue."""
    queue = access.conductor_queue
    link.declare_exchange(access.exchange)
    link.declare_queue(queue, (), durable=link.settings.durable, auto_delete=False)
    link.bind_queue(queue, access.exchange, queue)
    return queue
