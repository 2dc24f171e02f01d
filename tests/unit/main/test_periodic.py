"""What of the periodic announcements a configuration switches on, and the class that it may name."""

from pathlib import Path

import pytest
from tests.support.audits import emitter

from coffer.lifecycle.announcer import Announcer
from coffer.lifecycle.audits import ExistsAudit
from coffer.lifecycle.exists import Exists
from coffer.lifecycle.quota_report import QuotaReport
from coffer.lifecycle.runs import Lifecycle
from coffer.main.periodic import chores, transformer
from coffer.main.settings import SettingsError, load
from coffer.store.database import Database

OURS = "coffer.lifecycle.exists.Exists"


class NoTransformer:
    def __init__(self, service_ids: dict[str, str]) -> None: ...


def switched_on(folder: Path, *lines: str) -> list[type]:
    file = folder / "coffer.conf"
    file.write_text("\n".join(["[DEFAULT]", *lines]))
    lifecycle = Lifecycle(Database(f"sqlite:///{folder}/none.db"), Announcer(emitter()))
    return [type(chore) for chore in chores(load([file]), lifecycle)]


def test_nothing_is_announced_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert switched_on(tmp_path) == []
    assert switched_on(tmp_path, "quota_notification_interval = -5") == []
    assert switched_on(tmp_path, "quota_notification_interval = 0") == []


def test_each_announcement_has_its_switch(tmp_path: Path) -> None:
    assert switched_on(tmp_path, f"exists_notification_transformer = {OURS}") == [ExistsAudit]
    assert switched_on(tmp_path, "quota_notification_interval = 3600") == [QuotaReport]


@pytest.mark.parametrize(
    "line",
    ["exists_notification_interval = 0", "quota_event_type = quota", "quota_notification_interval = x"],
)
def test_a_value_that_makes_no_sense_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError):
        switched_on(tmp_path, line)


def test_the_suggested_class_can_be_loaded() -> None:
    assert isinstance(transformer(OURS, {}), Exists)


@pytest.mark.parametrize(
    "path",
    [
        "Exists",
        "coffer.nowhere.Exists",
        "coffer.lifecycle.exists.Missing",
        "coffer.lifecycle.exists.Transformer",
        "coffer.lifecycle.exists.",
        "..Exists",
        "pathlib.Path",
        "datetime.UTC",
        f"{__name__}.NoTransformer",
    ],
)
def test_a_class_that_cannot_be_used_is_named_in_a_sentence(path: str) -> None:
    with pytest.raises(SettingsError, match="exists_notification_transformer") as caught:
        transformer(path, {})
    assert path in str(caught.value)
