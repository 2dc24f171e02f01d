"""From a message to a method, and from whatever happens to a reply."""

import logging
import string
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.catalogue.errors import ERRORS, CofferError, GuestFailed, NotFound
from coffer.wire.context import TroveContext
from coffer.wire.dispatcher import Dispatcher
from coffer.wire.rpc_errors import error_from_json, error_to_json


class Endpoint:
    """One method of each kind."""

    def plain(self, ctx: TroveContext, *, name: str = "none") -> str:
        return name

    def any_way(self, ctx: TroveContext, **options: object) -> list[str]:
        return sorted(options)

    def refuse(self, ctx: TroveContext, *, ident: int) -> None:
        raise NotFound(resource="Thing", id=ident)

    def fail(self, ctx: TroveContext, *, user: Mapping[str, Any]) -> None:
        try:
            int(user["password"])
        except ValueError as error:
            raise RuntimeError(f"cannot create {user['name']}") from error


@pytest.fixture(scope="module")
def dispatcher() -> Dispatcher:
    methods = frozenset({"plain", "any_way", "refuse", "fail"})
    return Dispatcher(topic="t", endpoint=Endpoint(), version="1.5", methods=methods)


def _message(method: object, version: object = "1.0", **args: object) -> dict[str, object]:
    return {"method": method, "version": version, "args": args}


def test_a_result_is_replied(dispatcher: Dispatcher) -> None:
    assert dispatcher.handle({}, _message("plain", name="x")) == {"result": "x"}


def test_arguments_nobody_knows_are_skipped_unless_all_are_taken(dispatcher: Dispatcher) -> None:
    assert dispatcher.handle({}, _message("plain", name="x", new=1)) == {"result": "x"}
    assert dispatcher.handle({}, _message("any_way", b=1, a=2)) == {"result": ["a", "b"]}


def test_an_error_of_the_catalogue_is_replied_as_data(dispatcher: Dispatcher) -> None:
    assert dispatcher.handle({}, _message("refuse", ident=7)) == {
        "error": {"code": "not_found", "data": {"resource": "Thing", "id": 7}}
    }


def test_the_log_of_a_failure_has_its_causes_and_not_its_passwords(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    reply = dispatcher.handle({}, _message("fail", user={"name": "ann", "password": "s3cr3t'x"}))

    assert reply == {"error": {"code": "internal_error", "data": {}}}
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "RuntimeError: cannot create ann" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("version", ["1.6", "2.0", "0.9", "", None, 1, "1", "1.x", "1.5.2", [], {}])
def test_versions_that_it_does_not_serve_are_refused(dispatcher: Dispatcher, version: object) -> None:
    reply = dispatcher.handle({}, _message("plain", version=version))

    assert reply["error"]["code"] == "not_implemented"  # type: ignore[index,call-overload]


MESSAGES = st.dictionaries(
    st.sampled_from(["method", "version", "args", "namespace"]),
    st.none() | st.text(max_size=8) | st.integers() | st.lists(st.integers(), max_size=2),
)


@given(message=MESSAGES, context=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_no_message_breaks_it(message: dict[str, object], context: dict[str, object]) -> None:
    dispatcher = Dispatcher(topic="t", endpoint=Endpoint(), version="1.0", methods=frozenset({"plain"}))

    assert "error" in dispatcher.handle(context, message)


def _an(error: type[CofferError]) -> CofferError:
    names = [name for _, name, _, _ in string.Formatter().parse(error.template) if name]
    return error(**{name: f"<{name}>" for name in names})


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_error_of_the_catalogue_travels_as_itself(error: type[CofferError]) -> None:
    made = _an(error)

    read = error_from_json(error_to_json(made))

    assert (type(read), read.data, read.message) == (error, made.data, made.message)


def test_data_that_json_does_not_know_travels_as_text() -> None:
    assert error_to_json(GuestFailed(reason=ValueError("x"))) == {
        "code": "guest_failed",
        "data": {"reason": "x"},
    }


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        [],
        {},
        {"code": "not_found"},
        {"code": "not_found", "data": {}},
        {"code": "not_found", "data": {"resource": "x", "id": "y", "more": 1}},
        {"code": "no_such_code", "data": {}},
        {"code": "no_such_code", "data": {"class": "os.system"}},
        {"code": ["not_found"], "data": {}},
        {"code": "not_found", "data": {"self": 1}},
    ],
)
def test_an_error_that_nobody_knows_is_ours(value: object) -> None:
    assert error_from_json(value).code == "internal_error"
