"""Sentences for tenants from what programs print."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.driver import EngineSettings, Place
from coffer.datastores.postgresql.reasons import readable, reason_from

PLACE = Place(
    instance_id="i",
    version="17",
    directory=Path("/srv/instances/i"),
    address="127.0.0.1",
    port=6000,
    ram_mib=128,
    engines=EngineSettings(engines_dir=Path("/srv/engines")),
)


def test_known_causes_are_told_in_our_words() -> None:
    bind = (
        'LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\nFATAL:  could not create any'
    )
    assert reason_from(bind, PLACE) == "port 6000 of 127.0.0.1 is taken by another process"
    full = "initdb: error: could not write: No space left on device\ninitdb: removing contents"
    assert reason_from(full, PLACE) == "no space is left on the device"
    cut_short = (
        'FATAL:  could not extend file "base/1/2691": wrote only 4096 of 8192 bytes at block 15\n'
        "HINT:  Check free disk space.\nPANIC:  cannot abort transaction 1, it was already committed"
    )
    assert reason_from(cut_short, PLACE) == "no space is left on the device"


def test_else_the_last_complaint_is_told_without_the_path() -> None:
    output = (
        "2026 UTC [1] LOG:  starting\n"
        '2026 UTC [1] FATAL:  could not open "/srv/instances/i/data/x": Permission denied\n'
        "2026 UTC [1] LOG:  database system is shut down\n"
    )
    assert reason_from(output, PLACE) == 'could not open "…/data/x": Permission denied'
    assert reason_from("only this\n", PLACE) == "only this"
    assert reason_from("", PLACE) == "it did not say why"


@given(st.text())
def test_a_reason_is_one_bounded_line_without_secrets(text: str) -> None:
    reason = readable(f"{text} password='hidden canary'", PLACE)
    assert len(reason) <= 300
    assert reason.isprintable()
    assert "hidden canary" not in reason
