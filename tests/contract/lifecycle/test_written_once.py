"""G3: an event's id and time are made when it is written, never when it is sent."""

import uuid

from tests.contract.lifecycle.ground import Ground, context
from tests.support.publishers import MemoryBroker, MemoryPublisher
from tests.support.waiting import wait_for

from coffer.catalogue.operations import OPERATIONS, ServerType
from coffer.lifecycle.emitter import utcnow
from coffer.relay.relay import Relay


def test_an_event_has_the_time_at_which_it_was_written(ground: Ground) -> None:
    began_at = ground.clock()
    run = ground.one_begun("instance_restart", ground.has())
    ground.clock.forward(42.5)
    ground.lifecycle().end(run.run_id)
    ground.clock.forward(3600)

    start, end = ground.events()

    assert start.timestamp == began_at
    assert (end.timestamp - start.timestamp).total_seconds() == 42.5
    assert end.payload["duration_s"] == 42.5


def test_every_event_has_an_id_of_its_own(ground: Ground) -> None:
    for _ in range(5):
        run = ground.one_begun("instance_restart", ground.has())
        ground.lifecycle().end(run.run_id)

    events = ground.events()

    assert len({uuid.UUID(event.message_id) for event in events}) == 10
    assert len({event.unique_id for event in events}) == 10


def test_the_bytes_in_the_outbox_never_change(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_restart", instance)
    before = ground.bodies()

    ground.clock.forward(60)
    ground.lifecycle().end(run.run_id)
    ground.one_begun("instance_delete", instance)

    assert ground.bodies()[: len(before)] == before


def test_what_is_sent_again_is_the_same_message(ground: Ground) -> None:
    """The broker takes the batch, the relay does not hear of it, and sends it again."""
    run = ground.one_begun("instance_restart", ground.has())
    written = ground.bodies()
    broker = MemoryBroker()
    broker.loses_next_confirms = 1
    relay = Relay(ground.database, MemoryPublisher(broker), "relay-1", utcnow)
    relay.start()
    try:
        wait_for(lambda: not ground.bodies(), 20, "the outbox to drain")
    finally:
        relay.stop()

    assert broker.delivered == written * 2
    assert ground.open_runs() == [run.run_id]


def test_a_notification_goes_out_with_the_context_of_the_call(ground: Ground) -> None:
    ctx = context("acme", request_id="req-1", auth_token="secret-token", roles=["member"])
    run = ground.one_begun("database_create", ground.has(), dbname="shop")
    with ground.lifecycle().begin(ctx, OPERATIONS["instance_restart"], instance=ground.has()) as beginning:
        pass
    ground.lifecycle(ServerType.TASK).end(beginning.run.run_id)

    _, start, end = ground.events()

    assert run.request_id != "req-1"
    for event in (start, end):
        assert event.context["request_id"] == "req-1"
        assert (event.context["project_id"], event.context["tenant"]) == ("acme", "acme")
        assert event.context["user_id"] == "user-1"
        assert "secret-token" not in str(event)
    assert (start.publisher_id, end.publisher_id) == ("api.control-1", "task.control-1")
