"""Lines of an event loop, written together."""

import asyncio
import io
import logging
import threading
from collections.abc import Callable

from coffer.main.log_stream import TurnStream


class Counted(io.StringIO):
    """A stream that counts how often it is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def during_a_turn(work: Callable[[logging.Logger, Counted], object]) -> Counted:
    """Do `work` in an event loop whose lines are kept, and let the turn end."""
    stream = Counted()
    logger = logging.getLogger("tests.turns")
    logger.propagate = False

    async def turn() -> None:
        handler = logging.StreamHandler(io.StringIO())
        handler.setStream(TurnStream(handler, stream, asyncio.get_running_loop()))
        logger.addHandler(handler)
        work(logger, stream)
        logger.removeHandler(handler)
        await asyncio.sleep(0)

    asyncio.run(turn())
    return stream


def test_the_lines_of_a_turn_are_written_at_its_end_in_their_order() -> None:
    written_meanwhile: list[str] = []

    def work(logger: logging.Logger, stream: Counted) -> None:
        for number in range(3):
            logger.warning("line %d", number)
        written_meanwhile.append(stream.getvalue())

    stream = during_a_turn(work)
    assert written_meanwhile == [""]
    assert (stream.getvalue(), stream.writes) == ("line 0\nline 1\nline 2\n", 1)


def test_a_line_of_another_thread_is_written_at_once_behind_those_that_wait() -> None:
    written_meanwhile: list[str] = []

    def work(logger: logging.Logger, stream: Counted) -> None:
        logger.warning("ours")
        thread = threading.Thread(target=logger.warning, args=("theirs",))
        thread.start()
        thread.join()
        written_meanwhile.append(stream.getvalue())

    during_a_turn(work)
    assert written_meanwhile == ["ours\ntheirs\n"]


def test_after_the_loop_lines_are_written_at_once() -> None:
    stream = Counted()
    loop = asyncio.new_event_loop()
    handler = logging.StreamHandler(io.StringIO())
    handler.setStream(TurnStream(handler, stream, loop))
    loop.close()
    handler.handle(logging.LogRecord("x", logging.INFO, "", 1, "last", (), None))
    assert stream.getvalue() == "last\n"
