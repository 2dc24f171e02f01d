"""Every format is a pure function of the catalogue, and holds together."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import FACTS
from coffer.catalogue.operations import OPERATIONS
from coffer.derive import aodh, table
from coffer.derive.formats import FORMATS

every_format = pytest.mark.parametrize("name", FORMATS)


def test_the_formats_are_the_public_ones() -> None:
    assert set(FORMATS) == {
        "table",
        "json",
        "ceilometer",
        "meters",
        "gnocchi",
        "cloudkitty",
        "aodh",
        "jsonschema",
        "asyncapi",
        "markdown",
    }


@every_format
def test_a_format_says_the_same_twice_and_ends_its_last_line(name: str) -> None:
    said = FORMATS[name]()

    assert said == FORMATS[name]()
    assert said.endswith("\n")
    assert not said.endswith("\n\n")


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"meters", "gnocchi", "cloudkitty", "aodh"}))
def test_a_format_of_all_events_names_every_event(name: str) -> None:
    said = FORMATS[name]()

    assert [operation for operation in OPERATIONS if f"dbaas.{operation}" not in said] == []
    assert [fact.event_type for fact in FACTS if fact.event_type not in said] == []


def test_the_table_has_a_row_an_event_and_a_cell_a_heading() -> None:
    rows = table.rows()

    assert [row[0] for row in rows] == list(EVENTS)
    assert {len(row) for row in rows} == {len(table.HEADINGS)}


def test_the_table_says_what_is_not_served_yet() -> None:
    calls = {row[0]: row[-1] for row in table.rows()}

    assert calls["dbaas.instance_restart.start"].endswith('{"restart": {}}')
    assert calls["dbaas.cluster_grow.start"].endswith("(not built yet)")


def test_the_json_has_exactly_the_public_shape() -> None:
    document = json.loads(FORMATS["json"]())

    assert list(document) == ["events"]
    assert [event["event_type"] for event in document["events"]] == list(EVENTS)
    for event in document["events"]:
        assert list(event) == ["event_type", "severity", "operation", "traits", "extension_traits"]
        for trait in (*event["traits"], *event["extension_traits"]):
            assert list(trait) == ["name", "type", "required", "description"]
    assert sum(len(event["traits"]) for event in document["events"]) == 656


def test_yaml_is_written_out_in_full() -> None:
    for name in ("meters", "gnocchi", "asyncapi"):
        said = FORMATS[name]()
        assert yaml.safe_load(said)
        assert "&id001" not in said


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if "$ref" in tree:
            yield tree["$ref"]
        for value in tree.values():
            yield from references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from references(value)


def resolved(document: Any, reference: str) -> Any:
    for key in reference.removeprefix("#/").split("/"):
        document = document[key]
    return document


@pytest.mark.parametrize("name", ["jsonschema", "asyncapi"])
def test_every_reference_leads_somewhere(name: str) -> None:
    document = yaml.safe_load(FORMATS[name]())
    found = list(references(document))

    assert len(found) >= len(EVENTS)
    for reference in found:
        assert resolved(document, reference)


def test_what_is_rated_is_what_gnocchi_holds() -> None:
    rated = yaml.safe_load(FORMATS["cloudkitty"]())["metrics"]
    (instance, _) = yaml.safe_load(FORMATS["gnocchi"]())["resources"]

    assert rated.keys() == instance["metrics"].keys()
    for metric in rated.values():
        assert metric["extra_args"]["resource_type"] == instance["resource_type"]
        assert set(metric["metadata"]) <= instance["attributes"].keys()


def test_an_alarm_asks_for_traits_that_are_there() -> None:
    said = FORMATS["aodh"]()

    assert "traits.in_use>=integer::9" in said
    assert "traits.fault=string::system" in said
    with pytest.raises(KeyError):
        aodh.type_of("dbaas.*.end", "error_code")
