"""What travels in a context, and what stays at home."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_context import context as oslo_context

from coffer.wire.context import Ticket, TroveContext
from coffer.wire.json import JSON

TICKET = Ticket(run_id="r1", operation="instance_create")


def _context(**fields: Any) -> TroveContext:
    known: dict[str, Any] = {
        "auth_token": "tok-secret",
        "service_token": "svc-secret",
        "user_id": "u1",
        "user_name": "ann",
        "project_id": "p1",
        "request_id": "req-1",
        "global_request_id": "req-0",
        "roles": ["member", "reader"],
        "client_ip": "192.0.2.1:80",
        "notification": TICKET,
        "overwrite": False,
    }
    return TroveContext(**{**known, **fields})


def test_a_context_survives_the_journey() -> None:
    travelled = TroveContext.from_dict(json.loads(json.dumps(_context().to_dict())), overwrite=False)

    assert travelled.to_dict() == _context().to_dict()
    assert travelled.notification == TICKET
    assert travelled.roles == ["member", "reader"]


@pytest.mark.parametrize("form", [TroveContext.to_dict, TroveContext.for_notification])
def test_no_token_leaves_the_process(form: object) -> None:
    assert callable(form)
    assert "secret" not in json.dumps(form(_context()))


def test_a_copy_to_be_logged_has_no_token() -> None:
    assert _context().redacted_copy().auth_token is None


def test_a_context_without_a_notification_is_accepted() -> None:
    values = _context().to_dict()
    del values["notification"]

    assert TroveContext.from_dict(values, overwrite=False).notification is None


def test_unknown_keys_are_skipped() -> None:
    values = {**_context().to_dict(), "service_catalog": [1], "auth_token": "tok", "colour": "blue"}

    read = TroveContext.from_dict(values, overwrite=False)

    assert read.to_dict() == _context().to_dict()
    assert read.auth_token is None


@pytest.mark.parametrize(
    "notification", ["text", 5, [], {}, {"run_id": "r1"}, {"run_id": 1, "operation": "x"}, {"operation": "x"}]
)
def test_a_notification_that_is_no_ticket_is_left_out(notification: JSON) -> None:
    values = {**_context().to_dict(), "notification": notification}

    assert TroveContext.from_dict(values, overwrite=False).notification is None


JUNK = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.booleans()


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_context().to_dict(), JUNK)))
def test_a_stranger_context_never_breaks_the_reader(values: dict[str, JSON]) -> None:
    read = TroveContext.from_dict(values, overwrite=False)

    json.dumps(read.to_dict())
    assert isinstance(read.request_id, str)


def test_a_ticket_is_added_without_touching_the_original_or_the_thread() -> None:
    current = _context(overwrite=True, notification=None)

    ticketed = current.with_ticket(TICKET)

    assert (current.notification, ticketed.notification) == (None, TICKET)
    assert oslo_context.get_current() is current
    assert ticketed.request_id == current.request_id
    assert ticketed.with_ticket(None).notification is None


def test_a_notification_carries_what_ceilometer_looks_for() -> None:
    assert _context().for_notification() == {
        "request_id": "req-1",
        "global_request_id": "req-0",
        "project_id": "p1",
        "tenant": "p1",
        "user_id": "u1",
        "user": "u1",
        "is_admin": False,
        "roles": ["member", "reader"],
    }
