"""Rules: ours, the operator's in their place, and what happens to a file of his while we run."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coffer.api.policy import REMEMBERED_S, Policy, problems
from coffer.api.policy_text import rows, sample
from coffer.api.routes import ROUTES, guards
from coffer.main import access
from coffer.main.settings import SettingsError, load
from coffer.wire.context import TroveContext

DELETE, LIST = "instance:delete", "instance:index"
NOBODY = f'"{DELETE}": "!"\n'
OURS = Policy(guards())


def caller(*roles: str) -> TroveContext:
    return TroveContext(user_id="ann", project_id="acme", roles=list(roles), overwrite=False)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def later(self) -> None:
        self.now_s += REMEMBERED_S


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Callable[..., Policy]:
    """Return the policy of a configuration file in `tmp_path`, whose content is given."""

    def opened(text: str = "") -> Policy:
        path = tmp_path / "coffer.conf"
        path.write_text(text)
        return Policy(guards(), load([path]), clock=clock)

    return opened


Opened = Callable[..., Policy]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.rule)
def test_who_looks_is_a_reader_and_who_changes_is_a_member(route: object) -> None:
    rule, method, needs = (getattr(route, name) for name in ("rule", "method", "needs"))

    allowed = [OURS.allows(rule, caller(role)) for role in ("reader", "member", "admin")]

    if needs:
        assert allowed == [False, False, True]
    else:
        assert allowed == [method == "GET", True, True]
    assert not OURS.allows(rule, caller())
    assert not OURS.allows(rule, caller("service", "manager"))


def test_a_rule_of_the_operators_takes_the_place_of_ours(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(f'"{DELETE}": "role:dba and project_id:%(project_id)s"\n')

    policy = opened()

    assert policy.allows(DELETE, caller("dba"))
    assert not policy.allows(DELETE, caller("member"))
    assert policy.allows(LIST, caller("reader"))


def test_what_the_operator_changes_is_in_force_without_a_restart(
    opened: Opened, tmp_path: Path, clock: Clock
) -> None:
    policy, path = opened(), tmp_path / "policy.yaml"
    assert policy.allows(DELETE, caller("member"))

    path.write_text(NOBODY)
    assert policy.allows(DELETE, caller("member")), "it is remembered for a moment"
    clock.later()
    assert not policy.allows(DELETE, caller("member"))

    # Of the same age and length, as a file that is put back from a copy may be.
    before = path.stat()
    other = tmp_path / "other"
    other.write_text(NOBODY.replace("!", "@"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    clock.later()
    assert policy.allows(DELETE, caller())

    path.unlink()
    clock.later()
    assert policy.allows(DELETE, caller("member"))
    assert not policy.allows(DELETE, caller())


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (b'"instance:delete": "rol', "line 1"),
        (b"- a list\n", "must hold a table"),
        (b'"instance:delete": [["role:admin"]]\n', "must be a text"),
        (b"\xff\xfe", "cannot be read"),
        (b'"a": "rule:b"\n"b": "rule:a"\n', "refers to itself"),
    ],
)
def test_a_broken_file_changes_nothing_and_keeps_us_from_starting(
    opened: Opened, tmp_path: Path, clock: Clock, broken: bytes, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(NOBODY)
    policy = opened()

    path.write_bytes(broken)
    for _ in range(3):
        clock.later()
        assert not policy.allows(DELETE, caller("member"))

    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1, "it is said once"
    assert word in errors[0].getMessage()
    with pytest.raises(SettingsError, match=word):
        access.policy(load([tmp_path / "coffer.conf"]))


def test_later_files_of_the_directory_win(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d" / "2.yaml").write_text(f'"{DELETE}": "role:two"\n')
    (tmp_path / "policy.d" / "1.yaml").write_text(f'"{DELETE}": "role:one"\n"{LIST}": "role:one"\n')
    (tmp_path / "policy.yaml").write_text(NOBODY)

    policy = opened()

    assert [policy.allows(rule, caller("one")) for rule in (DELETE, LIST)] == [False, True]
    assert policy.allows(DELETE, caller("two"))


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "coffer.conf"
    path.write_text("[oslo_policy]\npolicy_file = rules.yaml\n")
    with pytest.raises(SettingsError, match=r"rules\.yaml is not there"):
        access.policy(load([path]))

    (tmp_path / "rules.yaml").write_text(NOBODY)
    assert not access.policy(load([path])).allows(DELETE, caller("admin"))
    assert access.overrides(load([path])) == {DELETE: "!"}


def test_a_named_file_that_vanishes_leaves_the_rules_that_it_had(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "coffer.conf"
    path.write_text("[oslo_policy]\npolicy_file = rules.yaml\n")
    (tmp_path / "rules.yaml").write_text(NOBODY)
    policy = Policy(guards(), load([path]), clock=clock)
    (tmp_path / "rules.yaml").unlink()
    clock.later()
    assert not policy.allows(DELETE, caller("member"))


def test_without_a_configuration_file_nobodys_rules_but_ours_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.yaml").write_text(NOBODY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert access.policy(load([])).allows(DELETE, caller("member"))


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({DELETE: "role:dba or or"}, ["cannot be understood"]),
        ({DELETE: "!"}, []),
        ({DELETE: ""}, []),
        ({"instance:deletion": "role:dba"}, ["nothing is guarded by the rule instance:deletion"]),
        ({"dba": "role:dba", DELETE: "rule:dba"}, []),
        ({DELETE: "rule:dba"}, ["refers to the rule dba, which there is not"]),
        ({"a": "rule:a", DELETE: "rule:a"}, ["the rule a refers to itself"]),
    ],
)
def test_what_is_wrong_is_said(rules: dict[str, str], found: list[str]) -> None:
    said = problems(guards(), rules)

    assert len(said) == len(found)
    assert all(word in sentence for word, sentence in zip(found, said, strict=True))


def test_the_sample_has_every_rule_and_changes_nothing(tmp_path: Path, opened: Opened) -> None:
    text = sample(guards())
    (tmp_path / "policy.yaml").write_text(text)
    opened()
    assert access.overrides(load([tmp_path / "coffer.conf"])) == {}

    (tmp_path / "policy.yaml").write_text(text.replace('#"', '"'))
    named = access.overrides(load([tmp_path / "coffer.conf"]))
    assert named == {row.name: row.check for row in rows(guards())}
    assert {route.rule for route in ROUTES} < named.keys()
    assert problems(guards(), named) == []
