"""JSON that never fails a transaction for a strange value."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.wire.json import NotJSONError, dumps, loads

ANY_TEXT = st.text(alphabet=st.characters())
STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(STRANGE)
def test_whatever_it_is_given_it_writes_strict_json(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(dumps(value).decode("utf-8"), parse_constant=refuse)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_proper_text_comes_back_unchanged(text: str) -> None:
    assert loads(dumps({"text": text})) == {"text": text}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        ([math.inf, -math.inf], [None, None]),
        ({"n": math.nan, "s": "\ud800"}, {"n": None, "s": "\ufffd"}),
        ("a\udc80b", "a\ufffdb"),
        (2**70, 2**70),
        ({1: "integer key"}, {"1": "integer key"}),
        ({("a", 1): "no key of JSON"}, {"('a', 1)": "no key of JSON"}),
        ({"a"}, ["a"]),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
    ],
)
def test_what_json_has_no_form_for_gets_a_near_one(value: object, expected: object) -> None:
    read = json.loads(dumps(value))
    assert read == expected


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'"\xff"', b"nul", b"[1,]", b"[" * 100_000])
def test_what_is_no_json_is_refused_with_one_error(body: bytes) -> None:
    with pytest.raises(NotJSONError):
        loads(body)
