"""Who waits for which answer; an answer is believed from the one who was asked only, and once."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from coffer.wire.delivery import NoReplyError, NotDeliveredError


@dataclass(slots=True)
class Wait:
    """One question; `id` cannot be guessed."""

    asked: str
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    reply: dict[str, Any] | None = None
    _answered: threading.Event = field(default_factory=threading.Event)

    def settle(self, reply: dict[str, Any]) -> None:
        """Wake the one who waits."""
        self.reply = reply
        self._answered.set()

    def result(self, timeout_s: float) -> dict[str, Any]:
        """Return the answer.

        Raises:
            NoReplyError: if it does not come in `timeout_s`.
        """
        if not self._answered.wait(timeout_s) or self.reply is None:
            raise NoReplyError(f"no reply in {timeout_s} s")
        return self.reply


class Pending:
    """The questions of one process that are not answered yet."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock = threading.Lock()
        self._fewer = threading.Condition(self._lock)
        self._waits: dict[str, Wait] = {}

    @contextmanager
    def asking(self, asked: str, *, most: int | None = None, turn_s: float = 0.0) -> Iterator[Wait]:
        """Wait, inside, for an answer of `asked`; `most` may do so at a time, the next one waits `turn_s` for its turn.

        Raises:
            NotDeliveredError: it does not come. Whoever answers nobody must not keep all of our threads.
        """
        wait = Wait(asked)
        with self._lock:
            if most is not None and not self._fewer.wait_for(lambda: self._open(asked) < most, turn_s):
                raise NotDeliveredError("too many wait for its answers already")
            self._waits[wait.id] = wait
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.pop(wait.id, None)
                self._fewer.notify_all()

    def _open(self, asked: str) -> int:
        return sum(wait.asked == asked for wait in self._waits.values())

    def ids(self) -> list[str]:
        """Return the questions that wait."""
        with self._lock:
            return list(self._waits)

    def settle(self, sender: str, question_id: str, reply: dict[str, Any]) -> bool | None:
        """Hand an answer on; False if another was asked, None if nobody waits for it (any more)."""
        with self._lock:
            wait = self._waits.get(question_id)
            if wait is None:
                return None
            if wait.asked != sender:
                return False
            del self._waits[question_id]
            self._fewer.notify_all()
        wait.settle(reply)
        return True
