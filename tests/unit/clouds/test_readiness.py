"""User ids in a container that has few of them."""

from pathlib import Path

import pytest

from coffer.clouds.cloud import CloudMisconfigured
from coffer.clouds.local import readiness
from coffer.clouds.local.settings import LocalSettings


def test_ids_that_the_container_does_not_map_are_reported(tmp_path: Path) -> None:
    uid_map = tmp_path / "uid_map"
    uid_map.write_text("         0     100000      65536\n")
    with pytest.raises(CloudMisconfigured, match="which has 0-65535; choose base_uid and uid_count"):
        readiness.check_uids(LocalSettings(), uid_map)
    readiness.check_uids(LocalSettings(base_uid=20_000, uid_count=40_000), uid_map)
