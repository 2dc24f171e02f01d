"""What of the strategy `keystone` needs no Keystone: its configuration, and its memory of tokens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.api import keystone
from coffer.api.auth import Identity
from coffer.api.keystone import Keystone, Memory, known_s
from coffer.main import access
from coffer.main.settings import SettingsError, load

COMPLETE = {
    "www_authenticate_uri": "http://keystone:5000/v3",
    "auth_type": "password",
    "auth_url": "http://keystone:5000/v3",
    "username": "coffer",
    "password": "tiger",
    "user_domain_id": "default",
    "project_name": "service",
    "project_domain_id": "default",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "coffer.conf"


def write(path: Path, **options: str | None) -> None:
    lines = [f"{name} = {value}" for name, value in {**COMPLETE, **options}.items() if value is not None]
    path.write_text("\n".join(["[DEFAULT]", "auth_strategy = keystone", f"[{keystone.GROUP}]", *lines, ""]))


def test_it_starts_without_a_keystone_and_with_bounds_to_its_patience(path: Path) -> None:
    write(path)
    conf = load([path])

    strategy = access.authenticator(conf)

    assert isinstance(strategy, Keystone)
    assert strategy.challenge == 'Keystone uri="http://keystone:5000/v3"'
    assert {name: conf[keystone.GROUP][name] for name in keystone.DEFAULTS} == keystone.DEFAULTS


def test_what_the_operator_says_wins(path: Path) -> None:
    write(path, http_connect_timeout="3", service_type="my-databases")
    conf = load([path])
    access.authenticator(conf)

    assert (conf[keystone.GROUP].http_connect_timeout, conf[keystone.GROUP].service_type) == (
        3,
        "my-databases",
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"www_authenticate_uri": None}, "www_authenticate_uri of the group"),
        ({"auth_type": None}, "auth_type of the group"),
        ({"auth_type": "telepathy"}, "telepathy"),
        ({"auth_url": None}, "auth_url"),
        ({"auth_section": "elsewhere"}, "auth_type"),
        ({"http_connect_timeout": "soon"}, "http_connect_timeout"),
        ({"memcache_security_strategy": "ENCRYPT"}, "memcache_secret_key"),
        ({"memcached_servers": "127.0.0.1:11211"}, "Python module memcache"),
    ],
)
def test_what_can_never_work_is_told_before_the_first_token_comes(
    path: Path, options: dict[str, str | None], word: str
) -> None:
    write(path, **options)

    with pytest.raises(SettingsError, match=word) as refusal:
        access.check(load([path]))

    assert "tiger" not in str(refusal.value)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_what_keystone_said_is_forgotten_in_time() -> None:
    clock = Clock()
    tokens: Memory[bytes] = Memory(clock=clock)
    tokens.set("a", b"ann", time=10)
    tokens.set("b", b"bob", time=-1)

    assert (tokens.get("a"), tokens.get("b"), tokens.get("c")) == (b"ann", None, None)
    clock.now_s = 9.9
    assert tokens.get("a") == b"ann"
    clock.now_s = 10.0
    assert tokens.get("a") is None


def test_the_memory_has_a_bound_and_keeps_who_calls_often() -> None:
    tokens: Memory[bytes] = Memory(limit=3)
    for key in "abc":
        tokens.set(key, key.encode(), time=60)

    assert tokens.get("a") == b"a"
    tokens.set("d", b"d", time=60)

    assert [tokens.get(key) for key in "abcd"] == [b"a", None, b"c", b"d"]


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        ({"expires_at": "2026-01-02T04:04:05.000000Z"}, 1.0),
        ({"expires_at": "2026-01-02T03:04:05.250000Z"}, 0.25),
        ({"expires_at": "2026-01-02T03:04:04.000000Z"}, -1.0),
        ({"expires_at": "2026-01-02T03:04:06"}, 0.0),
        ({"expires_at": "some day"}, 0.0),
        ({}, 0.0),
        (None, 0.0),
        ({"expires_at": "2026-01-02T04:04:05Z", "application_credential": {"id": "c"}}, 1.0),
        ({"expires_at": "2026-01-02T04:04:05Z", "application_credential": {"access_rules": []}}, 0.0),
    ],
)
def test_a_bearer_is_known_for_a_moment_but_not_beyond_the_end_of_his_token(
    token: dict[str, object] | None, seconds: float
) -> None:
    assert known_s({"token": token}, NOW, at_most_s=1.0) == seconds


def test_the_memory_says_whether_it_will_still_know() -> None:
    now = 0.0
    memory: Memory[str] = Memory(clock=lambda: now)
    memory.set("a", "alice", time=1.0)
    assert memory.holds("a", 0.9)
    assert not memory.holds("a", 1.0)
    assert not memory.holds("b", 0.0)


def test_a_caller_is_known_who_has_just_called_or_shows_nothing(path: Path) -> None:
    write(path)
    strategy = access.authenticator(load([path]))
    assert isinstance(strategy, Keystone)
    assert strategy.knows({}), "it is refused without a question"
    assert not strategy.knows({"HTTP_X_AUTH_TOKEN": "new"})
    alice = Identity(user_id="alice", project_id="shop", roles=())
    strategy._identities.set(keystone._digest("seen"), alice, time=60.0)
    assert strategy.knows({"HTTP_X_AUTH_TOKEN": "seen"})
