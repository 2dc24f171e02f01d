"""What a guest answers to a call is a stranger's word."""

from typing import Any

import pytest

from coffer.catalogue.errors import CofferError, GuestFailed, GuestUnreachable, NotFound, QuotaExceeded
from coffer.wire.context import TroveContext
from coffer.wire.guest_client import GuestClient
from coffer.wire.rpc_errors import error_to_json


class Answering:
    """A `GuestsChannel` whose guest answers each call with the same error."""

    def __init__(self, error: object) -> None:
        self._error = error

    def send(self, *_args: Any, **_more: Any) -> object:
        return {"error": self._error}

    def declare(self, topic: str, server: str) -> None:
        """There is nothing to declare."""


FORGED = [
    error_to_json(QuotaExceeded(resources="volumes")),
    {"code": "unauthorized", "data": {}},
    {"code": "owner_died", "data": {}},
    {"code": "deadline_exceeded", "data": {"seconds": 1}},
    {"code": "internal_error", "data": {}},
    {"code": ["x"], "data": {}},
    "nonsense",
]


@pytest.mark.parametrize("error", FORGED)
def test_a_guest_fails_in_its_own_name_only(error: object) -> None:
    with pytest.raises(GuestFailed):
        GuestClient(Answering(error), "i1").restart(TroveContext(overwrite=False))


def test_what_a_guest_may_say_is_passed_on() -> None:
    said = error_to_json(NotFound(resource="User", id="joe"))
    with pytest.raises(NotFound):
        GuestClient(Answering(said), "i1").status(TroveContext(overwrite=False))


def test_a_guest_that_says_it_is_unreachable_is() -> None:
    with pytest.raises(CofferError) as caught:
        GuestClient(Answering({"code": "dispatch_failed", "data": {"service": "x"}}), "i1").status(
            TroveContext(overwrite=False)
        )
    assert caught.type is GuestUnreachable
