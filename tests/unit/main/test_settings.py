"""How a process reads its options."""

from pathlib import Path

import pytest

from coffer.main.settings import (
    NOTIFICATION_SERVICE_IDS,
    SettingsError,
    database_url,
    load,
    required,
    understood,
)

PASSWORD = "tiger-4711"


def written(tmp_path: Path, text: str, name: str = "coffer.conf") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_hold() -> None:
    conf = load([])

    assert conf.region == "RegionOne"
    assert conf.notification_service_id == NOTIFICATION_SERVICE_IDS
    assert conf.control_exchange == "trove"
    assert list(conf.oslo_messaging_notifications.topics) == ["notifications"]
    assert conf.local_cloud.first_port < conf.local_cloud.last_port


def test_of_several_files_the_later_ones_win(tmp_path: Path) -> None:
    first = written(tmp_path, "[DEFAULT]\nregion = one\nhost = a\n", "1.conf")
    second = written(tmp_path, "[DEFAULT]\nregion = two\n", "2.conf")

    conf = load([first, second])

    assert (conf.region, conf.host) == ("two", "a")


def test_a_file_wins_over_what_a_process_prefers(tmp_path: Path) -> None:
    path = written(tmp_path, "[DEFAULT]\ntransport_url = rabbit://broker/\n")

    assert load([path], defaults={"transport_url": "kombu+memory://"}).transport_url == "rabbit://broker/"
    assert load([], defaults={"transport_url": "kombu+memory://"}).transport_url == "kombu+memory://"


def test_the_service_ids_of_a_bill_can_be_set(tmp_path: Path) -> None:
    path = written(tmp_path, "[DEFAULT]\nnotification_service_id = postgresql:one,mysql:two\n")

    assert load([path]).notification_service_id == {"postgresql": "one", "mysql": "two"}


@pytest.mark.parametrize(
    "text",
    [
        "no group at all",
        "[DEFAULT\nregion = one",
        "[DEFAULT]\nwatchdog_interval = soon",
        "[DEFAULT]\nwatchdog_interval = 0",
        "[DEFAULT]\nauth_strategy = trust",
        "[api]\nbind_port = 70000",
        "[local_cloud]\nmin_free_gib = -1",
        "[upgrade_levels]\ntaskmanager = 2.0",
        "[upgrade_levels]\nguestagent = newest",
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(SettingsError, match=r"."):
        load([path])


def test_older_services_can_be_named(tmp_path: Path) -> None:
    levels = load([written(tmp_path, "[upgrade_levels]\nguestagent = 1.0\n")]).upgrade_levels

    assert (levels.guestagent, levels.taskmanager, levels.conductor) == ("1.0", None, None)


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.conf"):
        load([tmp_path / "absent.conf"])


def test_the_separate_services_need_a_database(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"the option connection of the group \[database\] must be set"):
        database_url([])
    path = written(tmp_path, f"[database]\nconnection = postgresql://coffer:{PASSWORD}@db/coffer\n")
    assert database_url([path]).startswith("postgresql://")


def test_an_option_that_is_set_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, "[local_cloud]\nroot = /srv/coffer\n")

    assert required(load([path]), "local_cloud", "root") == "/srv/coffer"


def test_a_password_is_not_shown_with_the_other_options(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    url = f"postgresql://coffer:{PASSWORD}@db/coffer"
    path = written(tmp_path, f"[database]\nconnection = {url}\n[collector]\nconnection = {url}\n")
    with caplog.at_level(logging.DEBUG):
        load([path]).log_opt_values(logging.getLogger("test"), logging.DEBUG)

    assert "database.connection" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_value_that_nobody_can_use_is_told_with_the_name_of_its_option() -> None:
    with (
        pytest.raises(SettingsError, match=r"the option \[database\] connection cannot be used: it is odd"),
        understood("[database] connection"),
    ):
        raise ValueError("it is odd")
