"""Publishing within one process."""

import pytest

from coffer.wire.local_publisher import LocalPublisher
from coffer.wire.publisher import BrokerUnavailable, Outgoing

BATCH = [Outgoing(id=1, severity="info", body=b"a"), Outgoing(id=2, severity="error", body=b"b")]


def test_every_consumer_gets_every_body_in_order() -> None:
    first: list[bytes] = []
    second: list[bytes] = []

    assert LocalPublisher([first.extend, second.extend]).publish(BATCH) == {1, 2}

    assert first == second == [b"a", b"b"]


def test_nothing_is_confirmed_when_a_consumer_could_not_store_it() -> None:
    stored: list[bytes] = []

    def broken(_bodies: list[bytes]) -> None:
        raise OSError("password=hunter2: the disk is full")

    with pytest.raises(BrokerUnavailable, match="OSError") as refused:
        LocalPublisher([stored.extend, broken]).publish(BATCH)

    assert "hunter2" not in str(refused.value)
    assert stored == [b"a", b"b"]
