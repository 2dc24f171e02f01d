"""What is refused as a name or password before anything begins."""

from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.postgresql.rules import RULES


@given(st.text())
def test_whatever_is_accepted_as_a_name_fits_the_server_as_it_is(name: str) -> None:
    for rule in (RULES.database_name, RULES.user_name):
        if rule(name) is None:
            assert 1 <= len(name.encode()) <= 63
            assert name == name.strip()
            assert name.isprintable() or not any(ord(char) < 32 or ord(char) == 127 for char in name)
            assert not name.startswith("pg_")


@given(st.text())
def test_a_password_is_never_quoted_in_its_own_refusal(password: str) -> None:
    problem = RULES.password(f"{password}\0secret")
    assert problem == "holds a control character"


def test_the_rules_in_words() -> None:
    assert RULES.database_name("shop") is None
    assert RULES.database_name('it\'s; "quoted" ünïcode') is None
    assert RULES.database_name("") == "is empty"
    assert RULES.database_name("x" * 64) == "is longer than 63 bytes"
    assert RULES.database_name(" x") == "begins or ends with a space"
    assert RULES.database_name("template1") == "is reserved"
    assert RULES.user_name("template1") is None
    assert RULES.user_name("postgres") == "is reserved"
    assert RULES.character_set("UTF8") is None
    assert RULES.character_set("latin1") is not None
    assert RULES.collate("C.UTF-8") is None
    assert RULES.collate("utf8_general_ci") is not None
    assert RULES.password("x" * 513) == "is longer than 512 bytes"
