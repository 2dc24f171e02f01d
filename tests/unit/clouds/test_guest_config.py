"""`guest.json`, written by one version of coffer and read by another."""

import json
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from coffer.clouds.local.guest_config import GuestConfig, GuestConfigInvalid, data_dir, log_dir

CONFIG = GuestConfig(
    instance_id="i-1",
    datastore="postgresql",
    datastore_version="17",
    address="127.0.0.1",
    port=20001,
    ram_mib=512,
    volume_gib=2,
    uid=200_001,
    gid=200_001,
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    CONFIG.save(tmp_path)
    assert GuestConfig.load(tmp_path) == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["guest.json"]
    assert stat.S_IMODE((tmp_path / "guest.json").stat().st_mode) == 0o600


def test_what_a_newer_version_added_is_ignored_and_what_may_lack_may_lack(tmp_path: Path) -> None:
    found = asdict(CONFIG) | {"colour": "red"}
    for name in ("uid", "gid", "volume_gib"):
        del found[name]
    (tmp_path / "guest.json").write_text(json.dumps(found))
    loaded = GuestConfig.load(tmp_path)
    assert (loaded.uid, loaded.gid, loaded.volume_gib) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": None}, "port is None"),
        ({"port": "20001"}, "port is '20001'"),
        ({"port": True}, "port is True"),
        ({"uid": "0"}, "uid is '0'"),
        ({"instance_id": 7}, "instance_id is 7"),
    ],
)
def test_an_entry_of_the_wrong_type_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "guest.json").write_text(json.dumps(asdict(CONFIG) | change))
    with pytest.raises(GuestConfigInvalid, match=said):
        GuestConfig.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "guest.json").write_bytes(content)
    with pytest.raises(GuestConfigInvalid):
        GuestConfig.load(tmp_path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuestConfigInvalid, match="cannot be read"):
        GuestConfig.load(tmp_path)


def test_a_failed_save_leaves_the_old_record_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "guest.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        CONFIG.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["guest.json"]


def test_data_and_log_lie_in_the_instances_directory() -> None:
    assert data_dir(Path("/x/i-1")) == Path("/x/i-1/data")
    assert log_dir(Path("/x/i-1")) == Path("/x/i-1/log")
