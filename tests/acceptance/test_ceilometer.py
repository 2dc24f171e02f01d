"""The real Ceilometer 27 behind a real broker: what arrives in its pipelines is what was announced, word for word.

Four sources speak to one RabbitMQ. `coffer standalone` with real database servers, driven by python-troveclient. A
whole control plane, one a scene of `tests.samples.scenes`, that does every operation that is built well and badly; its
database servers are dictionaries. And the announcer with an outbox and a relay of its own for what nothing real can
produce: operations on clusters, which are not built, and what only members of clusters have (`WITHOUT_CLUSTERS`).
`-m soak` has the tenant's whole day with real servers in place of the first two.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance import test_a_day_with_python as a_day
from tests.samples.scenes import SCENES, Scene
from tests.support import ceilometer_sink as sink
from tests.support.ceilometer_agent import CeilometerAgent, running_agent
from tests.support.day import Day
from tests.support.listener import Arrival, Listener
from tests.support.messaging import messaging_conf
from tests.support.plane import Plane
from tests.support.rabbitmq import RabbitNode, started_node
from tests.support.scratch import scratch
from tests.support.standalone import Options, Standalone, standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for

from coffer.catalogue.events import EVENTS
from coffer.catalogue.operations import ServerType
from coffer.lifecycle.announcer import Announcement, Announcer
from coffer.lifecycle.emitter import Emitter, utcnow
from coffer.relay.relay import Relay
from coffer.store import migrate, outbox
from coffer.store.database import Database
from coffer.wire import transport
from coffer.wire.envelope import unseal

pytestmark = [pytest.mark.rabbitmq, pytest.mark.ceilometer, pytest.mark.timeout(600)]

ARRIVE_S = 60.0
PERIODIC = {
    "exists_notification_transformer": "coffer.lifecycle.exists.Exists",
    "exists_notification_interval": 1,
    "quota_notification_interval": 1,
}
CLUSTER_EVENTS = frozenset(name for name in EVENTS if name.startswith("dbaas.cluster_"))
WITHOUT_CLUSTERS = {
    *((name, trait.name) for name in CLUSTER_EVENTS for trait in EVENTS[name].traits),
    *(
        (f"trove.instance.{change}", "cluster_id")
        for change in ("create", "delete", "modify_flavor", "modify_volume")
    ),
}


@dataclass(frozen=True)
class Told:
    """Everything that was announced, as an independent consumer has it, and what Ceilometer made of it."""

    arrivals: Sequence[Arrival]
    real: Sequence[Arrival]
    """Those that the work of a control plane caused."""
    agent: CeilometerAgent

    def by_id(self) -> dict[str, Arrival]:
        return {arrival.message_id: arrival for arrival in self.arrivals}


@dataclass(frozen=True)
class Stage:
    """A broker with a witness and Ceilometer on it."""

    node: RabbitNode
    witness: Listener
    agent: CeilometerAgent
    root: Path

    @property
    def options(self) -> Options:
        """What lets a standalone control plane announce here, for a tenant who is an administrator, too."""
        return {
            "DEFAULT": {"noauth_roles": "admin,member,reader"},
            "oslo_messaging_notifications": {"transport_url": self.node.url},
        }

    def carry(self, database: Database) -> None:
        """Relay everything that waits in an outbox, until the witness has heard it."""
        with database.reading() as tx:
            ids = {unseal(row.body).message_id for row in outbox.head(tx, outbox.backlog(tx).count)}
        publisher = transport.publisher(messaging_conf(self.node.url))
        relay = Relay(database, publisher, f"relay.{uuid.uuid4()}", utcnow, wake=threading.Event())
        relay.start()
        try:
            wait_for(lambda: self._is_empty(database), ARRIVE_S, "the outbox to drain")
            wait_for(lambda: ids <= self._heard(), ARRIVE_S, "the witness to hear of it", poll_s=0.1)
        finally:
            relay.stop()

    def told(self, real: Sequence[Arrival]) -> Told:
        """Wait until Ceilometer has published whatever the witness has heard."""
        arrivals = self.witness.arrivals()
        ids = {arrival.message_id for arrival in arrivals}
        wait_for(
            lambda: ids <= {event["message_id"] for event in self.agent.events()},
            ARRIVE_S,
            "Ceilometer to publish every event",
            poll_s=0.1,
        )
        expected = sum(sink.expected_samples(arrivals).values())
        wait_for(lambda: len(self.agent.samples()) >= expected, ARRIVE_S, "the samples", poll_s=0.1)
        return Told(arrivals, real, self.agent)

    def _heard(self) -> set[str]:
        return {arrival.message_id for arrival in self.witness.arrivals()}

    @staticmethod
    def _is_empty(database: Database) -> bool:
        with database.reading() as tx:
            return outbox.backlog(tx).count == 0


@contextmanager
def stage() -> Iterator[Stage]:
    with started_node() as node, scratch() as root, running_agent(root, node) as agent:
        witness = Listener(node)
        witness.start()
        try:
            yield Stage(node, witness, agent, root)
        finally:
            witness.stop()


def some_real_work(coffer: Standalone, witness: Listener) -> None:
    """A short life of an instance with a real server, some of it refused, until its use and the quotas were told."""
    tenant = Tenant(coffer.url)
    books = tenant.create_active(users={"alice": "tigers-secret"})
    tenant.api.databases.create(books, [{"name": "orders"}, {"name": "shop"}])
    tenant.api.instances.resize_volume(books, 2)
    tenant.wait_for(books, "ACTIVE")
    nightly = tenant.api.backups.create("nightly", books)
    wait_for(
        lambda: tenant.api.backups.get(nightly.id).status == "COMPLETED", ARRIVE_S, "the backup", poll_s=0.1
    )
    copy = tenant.api.instances.create(
        "copy", "1", volume={"size": 2}, datastore="postgresql", restorePoint={"backupRef": nightly.id}
    )
    tenant.wait_for(copy.id, "ACTIVE")
    with pytest.raises(Refused):
        tenant.api.databases.delete(books, "nothing")
    heard = {"trove.instance.exists", "trove.quota"}
    wait_for(
        lambda: heard <= {each.event_type for each in witness.arrivals()}, ARRIVE_S, f"{heard}", poll_s=0.1
    )
    tenant.api.instances.delete(books)
    tenant.wait_until_gone(books)


def play(scene: Scene, where: Stage) -> None:
    """Let a whole control plane do what is in a scene, and carry what it announced."""
    root = where.root / scene.play.__name__
    root.mkdir()
    url = f"sqlite:///{root / 'coffer.db'}"
    migrate.upgrade(url)
    with Plane(url, root / "cloud", min_free_gib=scene.min_free_gib) as plane:
        scene.play(plane)
        where.carry(plane.database)


def announce_what_cannot_be_done(where: Stage, real: Sequence[Arrival]) -> None:
    """Announce, with every trait, each event of which no real work can show all traits."""
    missing = sink.documented() - sink.pairs(real)
    url = f"sqlite:///{where.root / 'announced.db'}"
    migrate.upgrade(url)
    announcer = Announcer(Emitter(ServerType.TASK, "control-1", "192.0.2.1:0", "task-1"))
    context = {"request_id": f"req-{uuid.uuid4()}", "project_id": "p-1", "user_id": "u-1"}
    announcements = [
        Announcement(name, sink.full_values(event), context)
        for name, event in EVENTS.items()
        if any(each == name for each, _ in missing)
    ]
    with closing(Database(url)) as database:
        with database.writing() as tx:
            announcer.announce(tx, announcements, utcnow())
        where.carry(database)


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with stage() as where:
        with standalone({**where.options, "DEFAULT": PERIODIC}) as coffer:
            some_real_work(coffer, where.witness)
            coffer.settle()
            coffer.stop()
        for scene in SCENES:
            play(scene, where)
        real = where.witness.arrivals()
        announce_what_cannot_be_done(where, real)
        yield where.told(real)


def test_each_of_the_93_events_arrives_once_for_each_time_it_was_announced(told: Told) -> None:
    published = Counter((event["message_id"], event["event_type"]) for event in told.agent.events())

    assert published == Counter((each.message_id, each.event_type) for each in told.arrivals)
    assert {event_type for _, event_type in published} == EVENTS.keys()
    assert len(EVENTS) == 93


def test_every_trait_arrives_with_the_type_and_the_value_that_was_announced(told: Told) -> None:
    arrivals = told.by_id()
    flaws = [
        flaw for event in told.agent.events() for flaw in sink.flaws(arrivals[event["message_id"]], event)
    ]

    assert flaws == []
    assert sink.pairs(told.arrivals) == sink.documented()
    assert len(sink.documented()) == 656


def test_all_but_what_belongs_to_clusters_was_announced_by_real_work(told: Told) -> None:
    assert sink.documented() - sink.pairs(told.real) == WITHOUT_CLUSTERS


def test_errors_are_taken_from_the_queue_of_errors(told: Told) -> None:
    """The agent keeps the raw message of what came with the severity error only."""
    errors = {event["message_id"] for event in told.agent.events() if event["raw"]}
    arrivals = told.by_id()

    assert errors == {each.message_id for each in told.arrivals if each.key == "notifications.error"}
    assert {arrivals[each].event_type for each in errors} == {
        name for name in EVENTS if name.endswith(".error")
    }


def test_the_samples_are_those_of_the_notifications(told: Told) -> None:
    found = sink.samples(told.agent.samples())

    assert found == sink.expected_samples(told.arrivals)
    names = {name for name, *_ in found}
    assert {"trove.instance.exists", "trove.instance.memory", "trove.volume.size"} < names
    assert {"trove.quota.instances.in_use", "trove.quota.backups.limit", "trove.quota.ram.reserved"} < names


def test_nothing_was_too_much_for_the_agent(told: Told) -> None:
    for complaint in ("Fail to process", "Error loading", "Unable to load publisher", "Traceback"):
        assert complaint not in told.agent.log_text()


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_whole_day_with_real_servers_arrives_in_ceilometer() -> None:
    with stage() as where, standalone(where.options) as coffer:
        a_day.test_a_day_with_python(Day(coffer))
        coffer.settle()
        coffer.stop()
        whole = where.told(where.witness.arrivals())
        arrivals = whole.by_id()
        events = whole.agent.events()
        assert Counter(event["message_id"] for event in events) == Counter(arrivals.keys())
        assert [flaw for event in events for flaw in sink.flaws(arrivals[event["message_id"]], event)] == []
        assert sink.samples(whole.agent.samples()) == sink.expected_samples(whole.arrivals)
        assert {each.event_type for each in whole.arrivals if each.event_type.endswith(".end")} == {
            name for name in EVENTS.keys() - CLUSTER_EVENTS if name.endswith(".end")
        }
