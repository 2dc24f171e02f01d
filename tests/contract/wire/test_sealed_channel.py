"""Control plane and guests over a real broker: whatever breaks between them, each message counts once or not at all."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.rabbitmq import RabbitNode
from tests.support.rows import NOON, new_run
from tests.support.sealed import Endpoint, Hesitating, SealedPlane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import DispatchFailed, GuestFailed, GuestUnreachable
from coffer.catalogue.states import ServiceStatus
from coffer.conductor.reports import Reports
from coffer.guestagent.journal import Journal
from coffer.guestagent.outcomes import Ended
from coffer.guestagent.reporting import Reporter
from coffer.lifecycle.guest_channels import GuestChannels, new_secret
from coffer.lifecycle.runs import Lifecycle
from coffer.store import runs
from coffer.wire.amqp_link import AmqpLink
from coffer.wire.conductor_client import ConductorClient
from coffer.wire.context import Ticket, TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.sealed import frames
from coffer.wire.sealed.frames import Answer, Direction, Refusal, Request
from coffer.wire.sealed.post import Post

pytestmark = pytest.mark.rabbitmq

SOON_S = 20.0


@pytest.fixture
def plane(rabbit: RabbitNode, tmp_path: Path) -> Iterator[SealedPlane]:
    with SealedPlane(rabbit, tmp_path) as made:
        yield made


@pytest.fixture
def ctx() -> TroveContext:
    return TroveContext(project_id="project-1", overwrite=False)


def an_open_run(plane: SealedPlane, instance_id: str, *, handed_to: str | None = None) -> TroveContext:
    """Begin a run that a guest has to end; return the context that it was handed over with."""
    run = new_run(
        operation="database_create",
        instance_id=instance_id,
        handed_to=handed_to or instance_id,
        traits='{"dbname": "orders", "instance_id": "x"}',
    )
    with plane.database.writing() as tx:
        runs.insert(tx, run)
    return TroveContext(notification=Ticket(run.run_id, run.operation), overwrite=False)


def ending(plane: SealedPlane, ctx: TroveContext) -> str | None:
    assert ctx.notification is not None
    with plane.database.reading() as tx:
        run = runs.get(tx, ctx.notification.run_id)
    assert run is not None
    return run.ending


def put(plane: SealedPlane, body: bytes, queue: str, *, exchange: str) -> None:
    """Publish a body as it is."""
    with closing(Post(replace(plane.settings, exchange=exchange), name="test")) as post:
        post.send(body, queue, timeout_s=5)


def to_guest(plane: SealedPlane, instance_id: str, name: str) -> bytes:
    """Return a cast as the control plane seals it, not sent."""
    request = Request(
        id="0" * 32, context={}, method="delete_database", args={"name": name}, version="1.0", reply_to=None
    )
    return frames.seal(Direction.GUEST, instance_id, plane.book.outgoing(instance_id), request)


def fail(_method: str, _args: object) -> None:
    raise GuestFailed(reason="There is no room.")


def test_questions_are_answered_in_both_directions(plane: SealedPlane, ctx: TroveContext) -> None:
    plane.open_door()
    books, shop = plane.enrol(), plane.enrol()
    plane.guest(books.id, endpoint=Endpoint(answer=lambda _method, _args: [{"name": "books"}])).start()
    guest = plane.guest(shop.id, endpoint=Endpoint(answer=fail)).start()
    assert plane.client(books.id).list_databases(ctx) == [{"name": "books"}]
    with pytest.raises(GuestFailed, match="There is no room"):
        plane.client(shop.id).list_databases(ctx)
    report = an_open_run(plane, shop.id)
    guest.conductor.notify_end(report, shop.id, {})
    assert ending(plane, report) == "end"


def test_what_waits_for_a_guest_is_done_once_by_the_next_agent(plane: SealedPlane, ctx: TroveContext) -> None:
    books = plane.enrol()
    first = plane.guest(books.id).start()
    client = plane.client(books.id)
    client.delete_database(ctx, "before")
    wait_for(lambda: first.endpoint.names() == ["before"], SOON_S, "the first")
    first.stop()
    names = [f"n{number}" for number in range(40)]
    for name in names:
        client.delete_database(ctx, name)
    second = plane.guest(books.id).start()
    wait_for(lambda: len(second.endpoint.names()) >= len(names), SOON_S, "all that waited")
    client.delete_database(ctx, "last")
    wait_for(lambda: "last" in second.endpoint.names(), SOON_S, "the last")
    assert sorted(second.endpoint.names()) == sorted([*names, "last"])


def test_a_message_that_comes_again_is_not_done_again(
    plane: SealedPlane, ctx: TroveContext, caplog: pytest.LogCaptureFixture
) -> None:
    books = plane.enrol()
    guest = plane.guest(books.id).start()
    body = to_guest(plane, books.id, "once")
    for _ in range(3):
        put(plane, body, plane.access.guest_queue(books.id), exchange="trove")
    plane.client(books.id).delete_database(ctx, "later")
    wait_for(lambda: "later" in guest.endpoint.names(), SOON_S, "what was sent later")
    wait_for(lambda: guest.link.refusals.counts.total() == 2, SOON_S, "the repetitions to be refused")
    assert sorted(guest.endpoint.names()) == ["later", "once"]
    assert guest.link.refusals.counts == {Refusal.REPEATED: 2}
    assert len([line for line in caplog.messages if line.startswith("message refused")]) == 2


def test_a_question_that_was_given_up_is_not_answered_by_a_guest_that_comes_back(
    plane: SealedPlane, ctx: TroveContext
) -> None:
    plane.open_door()
    books = plane.enrol()
    with pytest.raises(GuestUnreachable):
        plane.client(books.id, timeout_s=0.2).list_databases(ctx)
    guest = plane.guest(books.id, endpoint=Endpoint(answer=lambda _method, _args: [])).start()
    assert plane.client(books.id).list_users(ctx) == []
    assert [method for method, _ in guest.endpoint.asked] == ["list_users"]


def test_a_report_waits_for_a_conductor_and_is_settled_when_it_is_repeated(plane: SealedPlane) -> None:
    books = plane.enrol()
    guest = plane.guest(books.id).start()
    report = an_open_run(plane, books.id)
    impatient = ConductorClient(guest.link, answer_timeout_s=0.2)
    with pytest.raises(DispatchFailed):
        impatient.notify_end(report, books.id, {})
    assert ending(plane, report) is None
    plane.open_door()
    wait_for(lambda: ending(plane, report) == "end", SOON_S, "the report that waited")
    guest.conductor.notify_end(report, books.id, {})
    guest.conductor.notify_exc_info(report, books.id, "guest_failed", {"message": "no"}, "")
    assert ending(plane, report) == "end"


def test_a_report_that_the_conductor_could_not_write_is_repeated_until_it_is_written(
    plane: SealedPlane,
) -> None:
    door = plane.open_door(reports=Forgetful(plane.lifecycle(), failures=2))
    books = plane.enrol()
    guest = plane.guest(books.id).start()
    journal = Journal(plane.root / books.id)
    reporter = Reporter(guest.conductor, books.id, journal)
    report = an_open_run(plane, books.id)
    reporter.run(report, lambda: None)
    reporter.resend()
    assert ending(plane, report) is None
    assert [entry.outcome for entry in journal.left()] == [Ended()]
    # The agent is killed; the next one knows that the run ended well.
    later = Reporter(guest.conductor, books.id, journal)
    later.recover()
    later.resend()
    assert ending(plane, report) == "end"
    assert journal.left() == []
    assert door.refusals.counts.total() == 0


def test_a_report_that_died_with_its_conductor_is_taken_by_the_next(plane: SealedPlane) -> None:
    plane.open_door(reports=Forgetful(plane.lifecycle(), failures=1, error=SystemExit))
    books = plane.enrol()
    guest = plane.guest(books.id).start()
    impatient = ConductorClient(guest.link, answer_timeout_s=0.5)
    reporter = Reporter(impatient, books.id, Journal(plane.root / books.id))
    report = an_open_run(plane, books.id)
    reporter.run(report, lambda: None)
    assert ending(plane, report) is None
    wait_for(lambda: _is_resent(reporter), SOON_S, "an answer")
    assert ending(plane, report) == "end"


def _is_resent(reporter: Reporter) -> bool:
    try:
        reporter.resend()
    except DispatchFailed:
        return False
    return True


class Forgetful(Reports):
    """A conductor's endpoint that fails a few times after the message was noted, and before anything is written."""

    def __init__(
        self, lifecycle: Lifecycle, *, failures: int, error: type[BaseException] = RuntimeError
    ) -> None:
        super().__init__(lifecycle)
        self._left = failures
        self._error = error

    def notify_end(self, ctx: TroveContext, *, instance_id: str, traits: object = None) -> str:
        if self._left:
            self._left -= 1
            raise self._error
        return super().notify_end(ctx, instance_id=instance_id, traits=traits)


def test_answers_to_reports_do_not_wait_behind_the_orders_whose_threads_wait_for_them(
    plane: SealedPlane, ctx: TroveContext
) -> None:
    plane.open_door()
    books = plane.enrol()
    guest = plane.guest(books.id)
    answered: list[str] = []

    def work(_method: str, args: dict[str, str]) -> None:
        guest.conductor.notify_end(ctx, books.id, {})  # raises if it is not answered in time
        answered.append(args["name"])

    guest.endpoint.answer = work
    names = [f"db{number}" for number in range(40)]
    for name in names:
        plane.client(books.id).delete_database(ctx, name)
    guest.start()
    wait_for(lambda: len(answered) == len(names), SOON_S, "every report to be answered")
    assert sorted(answered) == sorted(names)


def test_an_answer_is_not_lost_to_a_database_that_is_away_for_a_moment(
    plane: SealedPlane, ctx: TroveContext
) -> None:
    secret = new_secret()
    plane.book = GuestChannels(plane.database, [secret])
    plane.open_door()
    books = plane.enrol()
    plane.guest(books.id, endpoint=Endpoint(answer=lambda _method, _args: [])).start()
    book = plane.book = Hesitating(plane.database, [secret])
    with closing(plane.sealed_transport()) as transport:
        assert GuestClient(transport, books.id, timeout_s=SOON_S).list_databases(ctx) == []
    assert book.failures == 0


def test_nobody_answers_or_reports_for_another(plane: SealedPlane, ctx: TroveContext) -> None:
    door = plane.open_door()
    books, shop = plane.enrol(), plane.enrol()
    report = an_open_run(plane, books.id)
    shop_guest = plane.guest(shop.id).start()
    shop_guest.conductor.notify_end(report, books.id, {})
    assert ending(plane, report) is None
    assert door.refusals.counts == {Refusal.NOT_ITS_RUN: 1}

    def forge(_method: str, _args: object) -> list[dict[str, str]]:
        """Answer for another, as the one who sees its question could."""
        (question_id,) = plane.transport.pending.ids()
        forged = Answer(id=question_id, reply={"result": [{"name": "forged"}]}, reply_to=queue)
        outgoing = shop_guest.book.outgoing(shop.id)
        body = frames.seal(Direction.CONTROL, shop.id, outgoing, forged)
        put(plane, body, plane.access.conductor_queue, exchange=plane.access.exchange)
        wait_for(lambda: plane.transport.refusals.counts.total() == 1, SOON_S, "the forgery to be refused")
        return [{"name": "true"}]

    plane.guest(books.id, endpoint=Endpoint(answer=forge)).start()
    queue = plane.transport.listening(5.0)
    assert plane.client(books.id).list_databases(ctx) == [{"name": "true"}]
    assert plane.transport.refusals.counts == {Refusal.UNEXPECTED: 1}


def test_a_long_list_arrives_and_one_that_nobody_would_read_is_an_error(
    plane: SealedPlane, ctx: TroveContext
) -> None:
    plane.open_door()
    books = plane.enrol()
    many = [
        {"name": f"user-{number:06}-{'x' * 40}", "host": "%", "databases": []} for number in range(20_000)
    ]
    guest = plane.guest(
        books.id, endpoint=Endpoint(answer=lambda method, _: many * (1 if method == "list_databases" else 10))
    )
    guest.start()
    assert plane.client(books.id).list_databases(ctx) == many
    with pytest.raises(GuestFailed, match="too long"):
        plane.client(books.id).list_users(ctx)


def test_a_sign_of_life_counts_by_its_number_whatever_the_clocks_say(plane: SealedPlane) -> None:
    door = plane.open_door()
    books = plane.enrol(service_seen_at=NOON.replace(year=2036), service_status=ServiceStatus.CRASHED)
    guest = plane.guest(books.id).start()
    request = {"method": "heartbeat", "version": "1.0"}
    bodies = []
    for word in (ServiceStatus.HEALTHY, ServiceStatus.CRASHED, ServiceStatus.BUILDING):
        args = {"status": word, "sent_at": "1970-01-01T00:00:00Z", "instance_id": "somebody else"}
        inner = Request(id="0" * 32, context={}, args=args, **request)
        outgoing = guest.book.outgoing(books.id)
        bodies.append(frames.seal(Direction.CONTROL, books.id, outgoing, inner))

    def status() -> ServiceStatus:
        return plane.row(books.id).service_status

    def say(number: int) -> None:
        put(plane, bodies[number], plane.access.conductor_queue, exchange=plane.access.exchange)

    say(0)
    wait_for(lambda: status() is ServiceStatus.HEALTHY, SOON_S, "the first")
    say(2)
    wait_for(lambda: status() is ServiceStatus.BUILDING, SOON_S, "the last")
    say(1)
    wait_for(lambda: plane.received(books.id) == 0b111, SOON_S, "the one between to be noted")
    door.stop()
    assert status() is ServiceStatus.BUILDING


def test_a_queue_that_was_deleted_is_made_again(plane: SealedPlane, ctx: TroveContext) -> None:
    plane.open_door()
    books = plane.enrol()
    guest = plane.guest(books.id, endpoint=Endpoint(answer=lambda _method, _args: [])).start()
    assert plane.client(books.id).list_databases(ctx) == []
    plane.transport.remove(books.id)
    with closing(AmqpLink(plane.settings, name="test")) as link:
        link.delete_queue(plane.access.conductor_queue)
    wait_for(lambda: _is_answered(plane, books.id, ctx), SOON_S, "everybody to find each other again")
    assert guest.endpoint.asked


def _is_answered(plane: SealedPlane, instance_id: str, ctx: TroveContext) -> bool:
    try:
        return plane.client(instance_id, timeout_s=1.0).list_databases(ctx) == []
    except GuestUnreachable:
        return False


def test_an_instance_that_is_gone_is_neither_spoken_to_nor_believed(
    plane: SealedPlane, ctx: TroveContext
) -> None:
    door = plane.open_door()
    books = plane.enrol()
    guest = plane.guest(books.id).start()
    plane.book.remove(books.id)
    with pytest.raises(DispatchFailed):
        plane.client(books.id).delete_database(ctx, "orders")
    impatient = ConductorClient(guest.link, answer_timeout_s=0.2)
    with pytest.raises(DispatchFailed):
        impatient.notify_end(an_open_run(plane, books.id), books.id, {})
    wait_for(lambda: door.refusals.counts == {Refusal.UNKNOWN_KEY: 1}, SOON_S, "it to be refused")


def test_after_an_outage_everybody_goes_on_and_nothing_that_was_taken_is_lost(
    rabbit: RabbitNode, plane: SealedPlane, ctx: TroveContext
) -> None:
    plane.open_door()
    books = plane.enrol()
    answering = Endpoint(answer=lambda _method, _args: [])
    guest = plane.guest(books.id, endpoint=answering).start()
    assert plane.client(books.id).list_databases(ctx) == []
    guest.stop()
    plane.client(books.id).delete_database(ctx, "waits")
    guest = plane.guest(books.id, endpoint=answering)
    rabbit.kill()
    with pytest.raises(DispatchFailed):
        plane.client(books.id).delete_database(ctx, "refused")
    guest.start()
    rabbit.start()
    wait_for(lambda: _is_answered(plane, books.id, ctx), SOON_S, "everybody to find each other again")
    wait_for(lambda: "waits" in answering.names(), SOON_S, "what was taken before")
    report = an_open_run(plane, books.id)
    guest.conductor.notify_end(report, books.id, {})
    assert ending(plane, report) == "end"


def test_a_frozen_broker_is_not_waited_for_for_ever(
    rabbit: RabbitNode, plane: SealedPlane, ctx: TroveContext
) -> None:
    books = plane.enrol()
    rabbit.freeze()
    with pytest.raises(DispatchFailed):
        plane.client(books.id).delete_database(ctx, "orders")
    rabbit.thaw()
