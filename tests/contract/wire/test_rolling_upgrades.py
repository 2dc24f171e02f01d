"""Services of different versions serve each other: what version 1.0 said and took is recorded in tests/samples/rpc."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.samples.record_rpc import CONTRACTS, ENDPOINTS, FOLDER, parameters, said

from coffer.wire.contracts import Contract
from coffer.wire.dispatcher import _parameters, _serves
from coffer.wire.versions import number

RECORDED = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
METHODS = [
    pytest.param(version, service, method, id=f"{version} {service}.{method}")
    for version, contracts in RECORDED.items()
    for service, contract in contracts.items()
    for method in contract["methods"]
]


@pytest.fixture(scope="module")
def today() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What the services of this version say to each other."""
    return said()


def messages(version: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for service, contract in RECORDED[version].items():
        for method, recorded in contract["methods"].items():
            for message in recorded["messages"]:
                yield service, method, message


def test_something_is_recorded_of_every_contract() -> None:
    assert {service: contract["version"] for service, contract in RECORDED["1.0"].items()} == dict.fromkeys(
        CONTRACTS, "1.0"
    )
    assert len(list(messages("1.0"))) > 45


@pytest.mark.parametrize(("version", "service", "method"), METHODS)
def test_what_an_older_service_says_is_served(version: str, service: str, method: str) -> None:
    """Every method is still there, takes every argument, and misses none that it was not given."""
    contract, endpoint = CONTRACTS[service], ENDPOINTS[service]
    recorded = RECORDED[version][service]["methods"][method]
    known = _parameters(getattr(endpoint, method).__get__(object()))  # as of an endpoint that is there
    needed = {name for name, is_needed in parameters(service, method).items() if is_needed}
    for message in recorded["messages"]:
        assert _serves(contract.version, message["version"])
        assert known is None or message["args"].keys() <= known
        assert needed <= message["args"].keys()
    assert method in contract.methods
    assert needed <= {name for name, was_needed in recorded["parameters"].items() if was_needed}


@pytest.mark.parametrize(("version", "service", "method"), METHODS)
def test_what_is_said_today_is_served_by_an_older_service(
    today: dict[str, dict[str, list[dict[str, Any]]]], version: str, service: str, method: str
) -> None:
    """A message of today needs no newer version than the older service has, unless it asks for something new."""
    older = RECORDED[version][service]
    recorded = older["methods"][method]["parameters"]
    needed = {name for name, is_needed in recorded.items() if is_needed}
    for message in today.get(service, {}).get(method, []):
        if not _serves(older["version"], message["version"]):
            continue  # the older one refuses it, and says so
        unknown = message["args"].keys() - recorded.keys()
        assert unknown <= dispensable(CONTRACTS[service], method, older["version"]), "it would be skipped"
        assert needed <= message["args"].keys()


@pytest.mark.parametrize("service", CONTRACTS)
def test_what_was_added_is_written_down_with_its_version(service: str) -> None:
    contract = CONTRACTS[service]
    older = RECORDED["1.0"][service]["methods"]
    new = {(method, None) for method in contract.methods - older.keys()}
    new |= {
        (method, argument)
        for method in older
        for argument in parameters(service, method).keys() - older[method]["parameters"].keys()
    }
    added = {(each.method, each.argument) for each in contract.added}

    assert new <= added, "give each a row of `added` and raise the version of the contract"
    versions = [number(each.version) for each in contract.added]
    assert max(versions, default=number("1.0")) == number(contract.version)


def dispensable(contract: Contract, method: str, version: str) -> set[str]:
    """What an older server may skip."""
    return {
        each.argument
        for each in contract.added
        if each.method == method
        and each.argument
        and each.is_dispensable
        and number(each.version) > number(version)
    }
