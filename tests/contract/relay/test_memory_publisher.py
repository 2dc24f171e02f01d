"""The twin keeps the promises of `Publisher` that the relay's tests rest on."""

import pytest
from tests.support.publishers import MemoryBroker, MemoryPublisher, PipelinedMemoryPublisher

from coffer.wire.publisher import BrokerUnavailable, Outgoing, Publisher

BATCH = [Outgoing(id=7, severity="info", body=b"seven"), Outgoing(id=8, severity="error", body=b"eight")]


def test_it_confirms_what_arrived_in_the_order_of_the_batch() -> None:
    broker = MemoryBroker()
    publisher: Publisher = MemoryPublisher(broker)
    assert publisher.publish(BATCH) == {7, 8}
    assert broker.delivered == [b"seven", b"eight"]


def test_what_it_refuses_is_missing_from_the_confirmed() -> None:
    broker = MemoryBroker()
    broker.refuses = lambda body: body == b"seven"
    assert MemoryPublisher(broker).publish(BATCH) == {8}
    assert broker.delivered == [b"eight"]


def test_away_means_that_nothing_arrives() -> None:
    broker = MemoryBroker()
    broker.is_away = True
    with pytest.raises(BrokerUnavailable):
        MemoryPublisher(broker).publish(BATCH)
    assert broker.delivered == []


def test_lost_confirms_mean_that_the_batch_arrived_and_nobody_knows() -> None:
    broker = MemoryBroker()
    broker.loses_next_confirms = 1
    with pytest.raises(BrokerUnavailable):
        MemoryPublisher(broker).publish(BATCH)
    assert broker.delivered == [b"seven", b"eight"]
    assert MemoryPublisher(broker).publish(BATCH) == {7, 8}


def test_what_is_under_way_has_arrived_and_is_confirmed_when_it_lands() -> None:
    broker = MemoryBroker()
    publisher = PipelinedMemoryPublisher(broker)
    broker.refuses = lambda body: body == b"seven"
    first, second = publisher.send(BATCH[:1]), publisher.send(BATCH[1:])
    assert broker.delivered == [b"eight"]
    assert [first.land(), second.land()] == [set(), {8}]


def test_a_flight_that_breaks_off_takes_those_after_it_along() -> None:
    broker = MemoryBroker()
    publisher = PipelinedMemoryPublisher(broker)
    broker.loses_next_confirms = 1
    flights = [publisher.send(BATCH[:1]), publisher.send(BATCH[1:])]
    assert broker.delivered == [b"seven", b"eight"]
    for flight in flights:
        with pytest.raises(BrokerUnavailable):
            flight.land()
