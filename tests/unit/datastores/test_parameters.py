"""What a value for a parameter may be, in the server's own words; and what is offered at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.parameters import TEXT_LIMIT_BYTES, Kind, Parameter, Value, as_text, as_texts
from coffer.datastores.postgresql.offering import Setting, offered, parameters_of, to_json

PAGES = Parameter(
    "shared_buffers", Kind.INTEGER, restart_required=True, unit="8kB", minimum=16, maximum=2**30
)
MILLISECONDS = Parameter(
    "lock_timeout", Kind.INTEGER, restart_required=False, unit="ms", minimum=0, maximum=2**31
)
COUNT = Parameter("max_connections", Kind.INTEGER, restart_required=True, minimum=10, maximum=500)
COST = Parameter("random_page_cost", Kind.FLOAT, restart_required=False, minimum=0.0, maximum=10.0)
SWITCH = Parameter("jit", Kind.BOOLEAN, restart_required=False)
CHOICE = Parameter("synchronous_commit", Kind.STRING, restart_required=False, choices=("local", "on", "off"))
TEXT = Parameter("search_path", Kind.STRING, restart_required=False)

GOOD: list[tuple[Parameter, Value]] = [
    *[(PAGES, value) for value in (16, "16", "128kB", "128 kB", "1MB", "1.5GB", "131072B", 2**30, "+16")],
    *[(MILLISECONDS, value) for value in (0, "0", "1s", "2min", "1.5h", "10d", "1000us", 2.0)],
    *[(COUNT, value) for value in (10, 500, "77", 77.0)],
    *[(COST, value) for value in (0, 1, 1.5, "1.5", "1e0", 10)],
    *[(SWITCH, value) for value in (True, False, "on", "OFF", "yes", "no", "true", "FALSE", 1, 0)],
    *[(CHOICE, value) for value in ("local", "ON", True, False)],
    *[(TEXT, value) for value in ("", "a, b", 'it\'s "x"', "ü", 5, True)],
]
BAD: list[tuple[Parameter, Value]] = [
    *[
        (PAGES, value)
        for value in (15, "127kB", "9TB", "1s", "1 parsec", "kB", "", " ", "0x20", "016", "1,5MB")
    ],
    *[(MILLISECONDS, value) for value in (-1, "-1s", "1kB", "1m", "1.5", 1.5, True)],
    *[(COUNT, value) for value in (9, 501, "10kB", 10.5, "ten", False, 10**400)],
    *[(COST, value) for value in (-0.1, 10.1, "1.5ms", "x", True, "1e999", "inf", "nan")],
    *[(SWITCH, value) for value in ("maybe", 2, "", "o", 1.0)],
    *[(CHOICE, value) for value in ("remote", "", 1, "on off")],
    *[(TEXT, value) for value in ("a\nb", "a\0", "\u2028", "x" * (TEXT_LIMIT_BYTES + 1))],
]


@pytest.mark.parametrize(("parameter", "value"), GOOD)
def test_the_server_takes_it(parameter: Parameter, value: Value) -> None:
    assert parameter.problem(value) is None


@pytest.mark.parametrize(("parameter", "value"), BAD)
def test_the_server_does_not_take_it(parameter: Parameter, value: Value) -> None:
    problem = parameter.problem(value)
    assert problem is not None
    assert not problem.endswith(".")


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans()))
def test_every_value_is_judged(value: Value) -> None:
    for parameter in (PAGES, MILLISECONDS, COUNT, COST, SWITCH, CHOICE, TEXT):
        assert parameter.problem(value) is None or parameter.problem(value)


def test_a_refusal_says_what_would_do() -> None:
    assert PAGES.problem(1) == f"must be between 16 and {2**30} (in 8kB)"
    assert COUNT.problem("x") == "needs a whole number"
    assert MILLISECONDS.problem("x") == (
        "needs a whole number, counted in ms or with one of the units us, ms, s, min, h, d"
    )
    assert CHOICE.problem("x") == "needs one of 'local', 'on', 'off'"


def test_values_in_the_servers_words() -> None:
    assert as_texts({"jit": True, "a": False, "b": 4, "c": 1.5, "d": "x"}) == {
        "jit": "on",
        "a": "off",
        "b": "4",
        "c": "1.5",
        "d": "x",
    }
    assert as_text("off") == "off"


def setting(name: str, **changes: object) -> Setting:
    usual: dict[str, object] = {
        "vartype": "bool",
        "unit": None,
        "context": "user",
        "category": "Query Tuning / Other Planner Options",
        "min_val": None,
        "max_val": None,
        "enumvals": None,
    }
    return Setting(name=name, **{**usual, **changes})  # type: ignore[arg-type]


def test_a_text_is_offered_only_when_it_was_looked_at() -> None:
    found = offered(
        [
            setting("jit"),
            setting("brand_new_command", vartype="string"),
            setting("search_path", vartype="string"),
            setting("block_size", context="internal"),
            setting("zero_damaged_pages", category="Developer Options"),
            setting("auto_explain.log_analyze"),
            setting("fsync", context="sighup"),
        ]
    )
    assert sorted(found) == ["jit", "search_path"]


def test_bounds_are_tightened_where_the_server_would_not_come_up() -> None:
    found = offered(
        [
            setting(
                "max_connections", vartype="integer", context="postmaster", min_val="1", max_val="262143"
            ),
            setting(
                "wal_level", vartype="enum", context="postmaster", enumvals=["minimal", "replica", "logical"]
            ),
        ]
    )
    assert to_json(found["max_connections"]) == {
        "type": "integer",
        "min": 10,
        "max": 262143,
        "restart_required": True,
    }
    assert found["wal_level"].choices == ("replica", "logical")


def test_an_unknown_version_offers_nothing() -> None:
    assert parameters_of("9") == {}
