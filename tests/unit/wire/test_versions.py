"""What is said to a service that is older, and which version a message needs."""

import pytest

from coffer.catalogue.errors import DispatchFailed, PeerTooOld
from coffer.wire.json import JSON
from coffer.wire.versions import Added, fitted

ADDED = (
    Added("1.1", "fly"),
    Added("1.2", "walk", "speed"),
    Added("1.3", "walk", "reason", is_dispensable=True),
    Added("1.10", "walk", "shoes"),
)


def asked(method: str, pin: str | None, **args: JSON) -> tuple[str, dict[str, JSON]]:
    return fitted(method, args, service="guest agent", added=ADDED, pin=pin)


@pytest.mark.parametrize(
    ("method", "args", "version"),
    [
        ("walk", {}, "1.0"),
        ("walk", {"speed": None, "shoes": None}, "1.0"),
        ("walk", {"reason": "told to"}, "1.0"),
        ("walk", {"speed": 3}, "1.2"),
        ("walk", {"speed": 3, "shoes": "red"}, "1.10"),
        ("fly", {}, "1.1"),
        ("swim", {"far": True}, "1.0"),
    ],
)
def test_a_message_needs_the_version_of_what_it_asks_for(
    method: str, args: dict[str, JSON], version: str
) -> None:
    assert asked(method, None, **args) == (version, args)
    assert asked(method, "1.10", **args) == (version, args)


def test_what_can_be_spared_is_left_out_for_an_older_server() -> None:
    assert asked("walk", "1.2", speed=3, reason="told to", shoes=None) == ("1.2", {"speed": 3})
    assert asked("walk", "1.0", speed=None, reason="told to") == ("1.0", {})


@pytest.mark.parametrize(
    ("method", "pin", "args", "message"),
    [
        ("fly", "1.0", {}, "The guest agent service speaks version 1.0 until it is upgraded; fly needs 1.1."),
        ("walk", "1.1", {"speed": 3}, "speed of walk needs 1.2"),
        ("walk", "1.9", {"shoes": "red"}, "shoes of walk needs 1.10"),
    ],
)
def test_what_cannot_be_spared_is_refused_and_named(
    method: str, pin: str, args: dict[str, JSON], message: str
) -> None:
    with pytest.raises(PeerTooOld) as refusal:
        asked(method, pin, **args)
    assert message in refusal.value.message
    assert isinstance(
        refusal.value, DispatchFailed
    )  # so a run ends with it as with any order that was not given
    assert (refusal.value.status, refusal.value.fault) == (503, "system")


def test_nothing_is_taken_from_who_asks() -> None:
    args: dict[str, JSON] = {"reason": "told to"}
    fitted("walk", args, service="guest agent", added=ADDED, pin="1.0")
    assert args == {"reason": "told to"}
