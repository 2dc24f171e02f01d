"""What all tests have in common."""

import gc
import signal
import warnings
from collections.abc import Generator

import pytest

# What these assert is told in full only if this comes before anybody imports them, and more than one folder does.
pytest.register_assert_rewrite("tests.functional.operations")

# A shell that starts us in the background has us ignore Ctrl-C, and every program that a test starts would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Collect the sockets that kombu drops here, where the broker was killed, and not in whichever test comes later.

    kombu forgets a dead connection when it reconnects, instead of closing it. Every other socket that is left open
    fails a test, as files do.
    """
    yield
    if item.get_closest_marker("rabbitmq") is not None:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=r"unclosed <(ssl\.SSLS|socket\.s)ocket", category=ResourceWarning
            )
            gc.collect()
