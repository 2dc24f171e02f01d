"""The guests' door where guests are strangers: opens what they send, and lets in what a guest may say.

Whose message it is says the key that opened it, and nothing in it. Every message is noted in the database before it is
acted on, so that none counts twice, and acknowledged after it has been handled.
"""

import inspect
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from coffer.conductor.reports import Order, Reports, Taken
from coffer.wire.amqp_settings import AmqpSettings
from coffer.wire.contracts import CONDUCTOR
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.dispatcher import Dispatcher
from coffer.wire.guest_access import GuestAccess
from coffer.wire.sealed import frames
from coffer.wire.sealed.book import BookUnavailableError, ChannelBook
from coffer.wire.sealed.budget import Budget
from coffer.wire.sealed.control import ANSWERS, SealedTransport, declare_conductor
from coffer.wire.sealed.frames import Answer, Direction, FrameRefusedError, Refusal, Request
from coffer.wire.sealed.inbox import Inbox, TryLaterError
from coffer.wire.sealed.reader import Opened, Reader, Refusals

LOG = logging.getLogger(__name__)

GUEST_PER_S: Final = 100.0
GUEST_AT_ONCE: Final = 2000
"""What one guest may say; an honest one repeats what was too much (a heartbeat each 10 s, a report a run)."""
_THREADS: Final = 8
_REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}")
_TICKET: Final = ("run_id", "operation")
_TICKET_TEXT = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Door:
    """Serves the contract of the conductor to sealed messages; `refusals` counts what was not believed."""

    def __init__(
        self,
        settings: AmqpSettings,
        book: ChannelBook,
        access: GuestAccess,
        guests: SealedTransport,
        reports: Reports,
    ) -> None:
        """Read the conductor's queue; answer, and pass answers on, through `guests`."""
        self._guests = guests
        self.refusals = Refusals("conductor")
        self._reader = Reader(
            book,
            Direction.CONTROL,
            limit_bytes=frames.ANSWER_LIMIT_BYTES,
            budget=Budget(per_s=GUEST_PER_S, at_once=GUEST_AT_ONCE),
        )
        self._dispatcher = Dispatcher(
            topic=CONDUCTOR.topic, endpoint=reports, version=CONDUCTOR.version, methods=CONDUCTOR.methods
        )
        self._arguments = {
            method: frozenset(inspect.signature(getattr(reports, method)).parameters) - {"ctx", "order"}
            for method in CONDUCTOR.methods
        }
        self._answers = re.compile(re.escape(access.prefix + ANSWERS) + r"[0-9a-f]{32}")
        self._inbox = Inbox(
            settings,
            name="coffer-conductor",
            opened=partial(declare_conductor, access=access),
            handler=self._take,
            threads=_THREADS,
        )

    def start(self) -> None:
        """Open the door; returns at once, a broker that is away is waited for."""
        self._inbox.start()

    def trouble(self) -> str | None:
        """Return what keeps the door shut, from any thread; None if it is open."""
        return self._inbox.trouble()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Let nobody in any more; False if what is being handled goes on after `timeout_s`."""
        return self._inbox.stop(timeout_s)

    def _take(self, body: bytes) -> None:
        try:
            self._handle(self._reader.accept(body), body)
        except FrameRefusedError as refusal:
            self.refusals.note(refusal.reason, refusal.instance_id)
        except BookUnavailableError as error:
            raise TryLaterError(str(error)) from error

    def _handle(self, opened: Opened, body: bytes) -> None:
        try:
            match opened.inner:
                case Answer(reply_to=reply_to):
                    self._pass_on(opened, body, reply_to)
                case Request():
                    self._serve(opened, opened.inner)
        except NotDeliveredError as error:
            # Who waits for it asks again, or has given up.
            LOG.warning("answer not delivered instance_id=%s reason=%s", opened.instance_id, error)

    def _pass_on(self, opened: Opened, body: bytes, reply_to: str | None) -> None:
        if reply_to is None or not self._answers.fullmatch(reply_to):
            self.refusals.note(Refusal.NOT_ALLOWED, opened.instance_id)
            return
        self._guests.pass_on(body, reply_to)

    def _serve(self, opened: Opened, request: Request) -> None:
        if request.method not in CONDUCTOR.methods:
            self.refusals.note(Refusal.NOT_ALLOWED, opened.instance_id)
            return
        if not _is_ticket(request.context.get("notification")):
            self.refusals.note(Refusal.MALFORMED, opened.instance_id, method=request.method)
            return
        # What the message says of itself is not asked: neither whose it is, nor which of several.
        known = self._arguments[request.method]
        args = {name: value for name, value in request.args.items() if name in known}
        args["instance_id"] = opened.instance_id
        if request.method == "heartbeat":
            args["order"] = Order(opened.key_id, opened.number)
        message = {"method": request.method, "args": args, "version": request.version}
        reply = self._dispatcher.handle(_context(request.context), message)
        if reply.get("result") == Taken.REFUSED:
            self.refusals.count(Refusal.NOT_ITS_RUN)
        if request.reply_to is not None:
            self._guests.answer(opened.instance_id, request.id, reply)


def _context(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the little of a guest's context that is used: which run it means, and a request id for the log."""
    context: dict[str, Any] = {}
    request_id, ticket = said.get("request_id"), said.get("notification")
    if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id):
        context["request_id"] = request_id
    if isinstance(ticket, dict):
        context["notification"] = {name: ticket[name] for name in _TICKET}
    return context


def _is_ticket(said: object) -> bool:
    """Whether it names a run, or is None: who knows of no runs says nothing of one."""
    return said is None or (isinstance(said, dict) and all(_is_word(said.get(name)) for name in _TICKET))


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _TICKET_TEXT.fullmatch(value) is not None
