"""Log lines of an event loop, written together: to write is to let go of the interpreter, and others take it."""

import asyncio
import contextlib
import logging
import threading
from typing import TextIO


def write_by_turns(loop: asyncio.AbstractEventLoop) -> None:
    """Have lines that are logged in `loop`, which runs in this thread, written at the end of its turn."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(TurnStream(handler, handler.stream, loop))


class TurnStream:
    """A stream for one handler. What other threads log is written at once, with all that came before it."""

    def __init__(self, handler: logging.Handler, stream: TextIO, loop: asyncio.AbstractEventLoop) -> None:
        """Write to `stream`, in turns of `loop`, which runs in this thread; `handler` is the only one who writes."""
        self._handler = handler
        self._stream = stream
        self._loop = loop
        self._thread = threading.get_ident()
        self._lines: list[str] = []
        self._is_due = False

    def write(self, text: str) -> None:
        """Keep `text`; the handler, which holds its lock, flushes next."""
        self._lines.append(text)

    def flush(self) -> None:
        """Write what is kept; in the thread of the loop soon, otherwise now."""
        # Not `asyncio.get_running_loop`: to Python 3.11 it asks the kernel each time which process this is.
        if threading.get_ident() != self._thread or not self._loop.is_running():
            self._write()
        elif not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._end_turn)

    def isatty(self) -> bool:
        """Whether a person looks on; lines have colours then."""
        return self._stream.isatty()

    def _end_turn(self) -> None:
        self._handler.acquire()
        try:
            self._is_due = False
            # Where it would be said is what cannot be written to.
            with contextlib.suppress(OSError):
                self._write()
        finally:
            self._handler.release()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()
