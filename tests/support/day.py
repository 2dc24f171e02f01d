"""A tenant's day: one project, the field's clients, and what was announced since it was last asked."""

from typing import Any

import requests
from tests.support.announcements import Announcements, ToldRun, settled
from tests.support.openstack import OpenStack
from tests.support.standalone import Standalone
from tests.support.trove import POLL_S, Tenant
from tests.support.waiting import wait_for

from coffer.catalogue.events import Phase, operation_event
from coffer.catalogue.operations import OPERATIONS

PROJECT = "3c0ffe12-5f0e-4d8e-9b1d-0a1b2c3d4e5f"
"""An id as Keystone makes them: `openstack database quota` takes others for names, and asks Keystone for them."""

FOLLOW_S = 30.0

OF_ONE_INSTANCE = frozenset(name for name, row in OPERATIONS.items() if row.subject != "cluster")
"""What the specification has for instances, and what belongs to them."""


class Day:
    """Somebody of one project, with both clients.

    `trove` is python-troveclient as it comes, `openstack` the command line. Each call of `told` says what was
    announced since the one before.
    """

    def __init__(self, coffer: Standalone) -> None:
        """Begin the day at a running control plane."""
        self.coffer = coffer
        self.tenant = Tenant(coffer.url, PROJECT)
        self.trove = self.tenant.api
        self.openstack = OpenStack(coffer.url, PROJECT)
        self.runs: list[ToldRun] = []
        """The runs that the last `told` told of."""
        self._heard: set[str] = set()
        self.answers: set[str] = set()
        """The request ids of the answers that the Python client was given."""
        self._listen()

    def told(self) -> list[str]:
        """Wait until nothing is under way, and return the runs since the last time in the order of their beginning.

        A run is `instance_restart.end`, or `instance_restart.error wrong_state (user)`. Each is proven to be one
        start and one ending, with everything that the specification wants to be in them.
        """
        self.runs = [
            run for run in self.announced().runs if run.start["payload"]["run_id"] not in self._heard
        ]
        self._heard.update(run.start["payload"]["run_id"] for run in self.runs)
        for run in self.runs:
            _prove_traits(run)
        self._prove_request_ids()
        return [_summary(run) for run in self.runs]

    def announced(self) -> Announcements:
        """Wait until nothing is under way, and return everything that was announced since the morning."""
        return settled(self.coffer)

    def requests(self) -> set[str]:
        """Return the request ids of everything that was announced since the morning."""
        return {run.start["payload"]["request_id"] for run in self.announced().runs}

    def succeeded(self) -> set[str]:
        """Return the operations that have succeeded since the morning."""
        return {run.operation for run in self.announced().runs if run.succeeded}

    def values_of(self, fact: str, *traits: str) -> list[tuple[Any, ...]]:
        """Return these traits of every status notification of a type."""
        payloads = [event["payload"] for event in self.announced().facts(fact)]
        return [tuple(payload[trait] for trait in traits) for payload in payloads]

    def ask(self, instance_id: str, user: str, password: str, query: str, *, database: str = "shop") -> Any:
        """Let a user of the instance ask its server, and return the only value of the first row, if there is one."""
        session = self.tenant.log_in(instance_id, database=database, user=user, password=password)
        with session:
            cursor = session.execute(query)
            row = cursor.fetchone() if cursor.description else None
        return row and row[0]

    def source_of(self, *instance_ids: str) -> str:
        """Return the one of these instances that has replicas, and prove that they are all the others."""
        (found,) = [each for each in instance_ids if self.tenant.show(each).get("replicas")]
        replicas = {each["id"] for each in self.tenant.show(found)["replicas"]}
        assert replicas | {found} == set(instance_ids)
        assert {self.tenant.show(each)["replica_of"]["id"] for each in replicas} == {found}
        return found

    def kill_server(self, instance_id: str) -> None:
        """Let the database server of an instance die, and wait until its guest has said so."""
        self.coffer.kill_server(instance_id)
        self.tenant.wait_for_server(instance_id, "CRASHED")

    def wait_until_it_says(
        self, instance_id: str, user: str, password: str, query: str, value: object
    ) -> None:
        """Wait until the server of an instance answers so: a replica is a moment behind its source."""
        wait_for(
            lambda: self.ask(instance_id, user, password, query) == value,
            FOLLOW_S,
            f"{instance_id} to say {value}",
            poll_s=POLL_S,
        )

    def _listen(self) -> None:
        """Note the request id of each answer to the Python client."""

        def note(answer: requests.Response, *_: object, **__: object) -> None:
            self.answers.add(answer.headers["x-openstack-request-id"])

        self.trove.client.session.session.hooks["response"].append(note)

    def _prove_request_ids(self) -> None:
        """A request id is one call's."""
        by_request: dict[str, set[str]] = {}
        for run in self.runs:
            by_request.setdefault(run.start["payload"]["request_id"], set()).add(run.operation)
        for request_id, operations in by_request.items():
            assert len(operations) == 1, f"{request_id} is one call and yet {operations}"


def _summary(run: ToldRun) -> str:
    if run.succeeded:
        return f"{run.operation}.end"
    return f"{run.operation}.error {run.error['error_code']} ({run.error['fault']})"


def _prove_traits(run: ToldRun) -> None:
    ended = Phase.END if run.succeeded else Phase.ERROR
    for phase, event in ((Phase.START, run.start), (ended, run.ending)):
        expected = operation_event(OPERATIONS[run.operation], phase)
        lacking = {trait.field for trait in expected.traits if trait.required} - event["payload"].keys()
        assert not lacking, f"{expected.event_type} lacks {lacking}"
        unknown = event["payload"].keys() - {t.field for t in (*expected.traits, *expected.extension_traits)}
        assert not unknown, f"{expected.event_type} says {unknown}, too"
        assert event["payload"]["tenant_id"] == PROJECT
