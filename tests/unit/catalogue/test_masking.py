"""Secrets in other people's text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.catalogue.masking import MASK, mask_secrets

BARE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="'\"\\"), min_size=4
)
KEY = st.sampled_from(
    ["password", "PASSWORD", "admin_password", "auth_token", "secret", "api_key", "X-Auth-Token"]
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2 user=bob", "password=*** user=bob"),
        ("alter role bob PASSWORD 'it''s; here' valid", "alter role bob PASSWORD *** valid"),
        ('{"user": "bob", "password": "a \\" b"}', '{"user": "bob", "password": ***}'),
        ("{'bypassed': 1, 'password_hash': 'x y'}", "{'bypassed': 1, 'password_hash': ***}"),
        ("{'adminPass': 'x'}", "{'adminPass': ***}"),
        ("identified by 'abc'", "identified by ***"),
        ("amqp://coffer:s3cr@t@127.0.0.1:5672/", "amqp://coffer:***@127.0.0.1:5672/"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("verifier SCRAM-SHA-256$4096:aGk=$x+/=:y=", "verifier ***"),
        ("password 'never closed", "password ***"),
        ('password authentication failed for user "bob"', 'password authentication failed for user "bob"'),
        (
            "could not bind 127.0.0.1:5432: Address already in use",
            "could not bind 127.0.0.1:5432: Address already in use",
        ),
    ],
)
def test_a_secret_is_masked_and_the_rest_stays(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@given(KEY, st.sampled_from(["=", ": ", " = ", "=>"]), BARE)
def test_the_value_behind_a_secret_word_never_survives(key: str, sign: str, secret: str) -> None:
    assert secret not in mask_secrets(f"before {key}{sign}{secret} after").replace(MASK, "")


@given(KEY, st.sampled_from(["'", '"']), st.sampled_from([" ", "=", ": "]), st.text(min_size=4))
def test_a_quoted_value_never_survives(key: str, quote: str, sign: str, secret: str) -> None:
    literal = secret.replace("\\", "\\\\").replace(quote, quote * 2)
    text = mask_secrets(f"~{key}{sign}{quote}{literal}{quote}~")
    assert text == f"~{key}{sign}{MASK}~"


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask_secrets(mask_secrets(text)) == mask_secrets(text)


@pytest.mark.parametrize("piece", ["password", "password ", "://a:", "password'", "a-", "'", "token=", " "])
def test_masking_hostile_text_stays_fast(piece: str) -> None:
    began = time.process_time()
    mask_secrets(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 2
