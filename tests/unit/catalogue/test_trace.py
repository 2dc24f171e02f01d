"""The traits `message` and `exception`: the reason first, no secrets, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.catalogue.errors import CofferError, DatabaseExists, Fault, GuestFailed
from coffer.catalogue.trace import MESSAGE_LIMIT, TRACE_LIMIT, bounded, message_of, trace_of, visible
from coffer.lifecycle.failures import Failure

PASSWORD = "tiger-4711-tiger"
CEILOMETER_KEEPS = 255

SECRETIVE = [
    f"CREATE ROLE alice PASSWORD '{PASSWORD}'",
    f"password={PASSWORD}",
    f"{{'name': 'alice', 'password': '{PASSWORD}'}}",
    f"could not connect: postgresql://alice:{PASSWORD}@db/shop",
    f"Authorization: Bearer {PASSWORD}",
    f"ALTER USER bob IDENTIFIED BY '{PASSWORD}'",
]


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return the error as somebody caught it: with a traceback, and a cause."""

    def innermost() -> None:
        local = PASSWORD
        assert local
        raise error from cause

    try:
        innermost()
    except BaseException as raised:  # noqa: BLE001 - it is what the tests look at
        return raised
    raise AssertionError("unreachable")


@pytest.mark.parametrize("text", SECRETIVE)
@pytest.mark.parametrize("wrap", [lambda text: GuestFailed(reason=text), RuntimeError, KeyError])
def test_no_secret_of_an_error_is_told(wrap: type[Exception], text: str) -> None:
    failure = Failure.of(caught(wrap(text)))

    assert PASSWORD not in failure.message
    assert PASSWORD not in failure.exception


@pytest.mark.parametrize("text", SECRETIVE)
def test_no_secret_of_a_chain_of_causes_is_told(text: str) -> None:
    chain = caught(GuestFailed(reason="The server refused."), caught(RuntimeError(text), ValueError(text)))

    told = trace_of(chain)

    assert PASSWORD not in told
    assert told.splitlines()[-1] == "caused by RuntimeError"


def test_local_variables_and_lines_of_source_are_not_told() -> None:
    told = trace_of(caught(RuntimeError("x")))

    assert PASSWORD not in told
    assert "local" not in told


def test_the_reason_stands_first_and_the_innermost_frame_second() -> None:
    told = trace_of(caught(DatabaseExists(name="shop")))
    reason, frame, *_ = told.splitlines()

    assert reason == "DatabaseExists: A database with the name shop already exists."
    assert frame.startswith("  at test_trace.py:")
    assert frame.endswith(" in innermost")
    assert told.index(reason) + len(reason) <= CEILOMETER_KEEPS


def test_an_error_that_is_not_ours_is_named_but_not_quoted() -> None:
    failure = Failure.of(caught(ValueError("row 7 of table clients")))

    assert failure.code == CofferError.code
    assert failure.fault is Fault.SYSTEM
    assert "ValueError" in failure.message
    assert "clients" not in failure.message + failure.exception


def test_an_error_of_ours_keeps_its_words_and_its_fault() -> None:
    failure = Failure.of(DatabaseExists(name="shop"))

    assert (failure.code, failure.fault) == ("database_exists", Fault.USER)
    assert failure.message == "A database with the name shop already exists."


def test_there_is_no_double_quote_and_no_path() -> None:
    told = trace_of(caught(GuestFailed(reason='The role "alice" is in use.')))

    assert '"' not in told
    assert "'alice'" in told
    assert "/" not in told


def test_a_deep_recursion_is_told_in_bounds() -> None:
    def recurse(depth: int) -> None:
        recurse(depth + 1)

    try:
        recurse(0)
    except RecursionError as error:
        told = trace_of(error)
    assert len(told) <= TRACE_LIMIT
    assert told.startswith("RecursionError: ")


def test_a_huge_reason_is_cut() -> None:
    failure = Failure.of(GuestFailed(reason="x" * 5_000_000))

    assert len(failure.message) == MESSAGE_LIMIT
    assert failure.message.endswith("…")
    assert len(failure.exception) <= TRACE_LIMIT


def test_a_secret_that_is_cut_in_half_is_masked() -> None:
    told = bounded("x" * 80 + f" PASSWORD '{PASSWORD}", 100)

    assert "tiger" not in told


@given(st.text(st.characters()), st.integers(min_value=1, max_value=300))
def test_whatever_comes_is_bounded_and_visible(text: str, limit: int) -> None:
    told = bounded(text, limit)

    assert len(told) <= limit
    assert '"' not in told
    assert all(char.isprintable() or char == "\n" for char in told)
    told.encode()


@given(st.text(st.characters()))
def test_what_is_visible_can_be_stored_anywhere(text: str) -> None:
    assert "\x00" not in visible(text)
    visible(text).encode()
    assert len(visible(text)) == len(text)


def test_the_message_of_an_error_without_words_of_its_own() -> None:
    assert message_of(CofferError()) == CofferError.template
