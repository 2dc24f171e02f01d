"""The definitions keep the rules that Ceilometer's converter has; the contract suite asks the real one."""

import re
from typing import Any

import yaml

from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import OTHER_QUOTA_NAMES, QUOTA
from coffer.catalogue.traits import TraitType
from coffer.derive.formats import FORMATS

TEXT = FORMATS["ceilometer"]()
DEFINITIONS: list[dict[str, Any]] = yaml.safe_load(TEXT)
SHIPPED_ANCHORS = {"trove_base_traits", "trove_common_traits"}


def types(definition: dict[str, Any]) -> list[str]:
    said = definition["event_type"]
    return said if isinstance(said, list) else [said]


def winning(event_type: str) -> dict[str, Any]:
    """The last definition of the exact type; no wildcard comes after it."""
    return [each for each in DEFINITIONS if event_type in types(each)][-1]


def test_wildcards_stand_before_everything_that_they_would_hide() -> None:
    wild = [any("*" in name for name in types(each)) for each in DEFINITIONS]
    exact = [len(types(each)) == 1 for each in DEFINITIONS]

    last_wildcard = max(position for position, is_wild in enumerate(wild) if is_wild)
    quota = next(position for position, each in enumerate(DEFINITIONS) if QUOTA in types(each))
    first_exact = next(at for at, (one, star) in enumerate(zip(exact, wild, strict=True)) if one and not star)
    assert last_wildcard < quota < first_exact


def test_every_event_has_its_traits_in_its_own_definition() -> None:
    for event in EVENTS.values():
        traits = winning(event.event_type)["traits"]
        assert set(traits) == {trait.name for trait in event.all_traits}
        for trait in event.all_traits:
            assert traits[trait.name].get("type", "text") == trait.type


def test_types_are_those_that_ceilometer_knows() -> None:
    said = set(re.findall(r"type: (\w+)$", TEXT, flags=re.MULTILINE))

    assert said <= {member.value for member in TraitType}


def test_the_quota_is_defined_under_all_its_names() -> None:
    assert types(winning(QUOTA)) == [QUOTA, *OTHER_QUOTA_NAMES]


def test_anchors_are_our_own_and_different() -> None:
    anchors = re.findall(r"&(\w+)", TEXT)

    assert len(set(anchors)) == len(anchors)
    assert not set(anchors) & SHIPPED_ANCHORS


def test_what_ceilometer_would_find_in_the_context_stays_findable() -> None:
    for event in EVENTS.values():
        traits = winning(event.event_type)["traits"]
        for name, field in {
            "tenant_id": "project_id",
            "request_id": "request_id",
            "user_id": "user_id",
        }.items():
            if name in traits:
                assert traits[name]["fields"] == [f"payload.{name}", f"ctxt.{field}"]
