"""Clients and contracts say the same."""

import inspect
import subprocess
import sys

import pytest

from coffer.wire.conductor_client import ConductorClient
from coffer.wire.contracts import CONDUCTOR, TASKMANAGER, Contract, guest_contract
from coffer.wire.guest_client import GuestClient
from coffer.wire.taskmanager_client import TaskmanagerClient


@pytest.mark.parametrize(
    ("client", "contract", "own"),
    [
        (TaskmanagerClient, TASKMANAGER, set()),
        (ConductorClient, CONDUCTOR, set()),
        (GuestClient, guest_contract("i1"), {"declare"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_client_has_exactly_the_methods_of_its_contract(
    client: type, contract: Contract, own: set[str]
) -> None:
    public = {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}

    assert public - own == contract.methods


def test_topics_differ() -> None:
    topics = {TASKMANAGER.topic, CONDUCTOR.topic, guest_contract("a").topic, guest_contract("b").topic}

    assert topics == {"trove-taskmanager", "trove-conductor", "guestagent.a", "guestagent.b"}


def test_importing_the_clients_does_not_import_oslo_messaging() -> None:
    program = (
        "import sys, coffer.wire.taskmanager_client, coffer.wire.conductor_client, coffer.wire.guest_client;"
        "import coffer.wire.transport, coffer.wire.options, coffer.wire.envelope;"
        "heavy = {'oslo_messaging', 'kombu', 'amqp', 'eventlet'};"
        "sys.exit(any(name.split('.')[0] in heavy for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
