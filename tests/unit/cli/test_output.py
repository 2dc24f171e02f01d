import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.cli.output import Column, Fit, _widths, print_table, printable, span


@given(st.text())
def test_nothing_that_could_steer_a_terminal_gets_through(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop", "shop"),
        ("Läden 商店", "Läden 商店"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("one\ntwo\r\x07", "one\\ntwo\\r\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_the_rest_is_spelled_out(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_a_name_is_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table([Column("NAME")], [["[red]x[/red] :smile: \x1b[0m"]])
    assert capsys.readouterr().out == "NAME\n[red]x[/red] :smile: \\x1b[0m\n"


@given(
    st.integers(40, 250),
    st.lists(st.tuples(st.sampled_from(Fit), st.integers(1, 300)), min_size=1, max_size=4),
)
def test_whole_columns_stay_whole_and_the_others_share_what_is_left(
    total: int, shapes: list[tuple[Fit, int]]
) -> None:
    columns = [Column("T", fit) for fit, _ in shapes]
    widths = _widths(columns, [["x" * wide for _, wide in shapes]], total)
    for (fit, wide), given_width in zip(shapes, widths, strict=True):
        assert given_width <= wide
        if fit is Fit.WHOLE:
            assert given_width == wide
    needed = sum(wide if fit is Fit.WHOLE else min(wide, 8) for fit, wide in shapes) + 2 * (len(shapes) - 1)
    if needed <= total:
        assert sum(widths) + 2 * (len(widths) - 1) <= total


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (99, "99 s"), (300, "5 min"), (7200, "2.0 h"), (864000, "10.0 d")],
)
def test_spans_are_for_people(seconds: float, expected: str) -> None:
    assert span(seconds) == expected
