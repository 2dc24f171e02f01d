"""What an agent makes of the directory that it was started for."""

from dataclasses import replace
from pathlib import Path

import pytest

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.clouds.local.guest_config import GuestConfig, GuestConfigInvalid
from coffer.datastores.driver import EngineSettings
from coffer.datastores.registry import discover
from coffer.guestagent.agent import load_driver

GUEST = GuestConfig(
    instance_id="i-1",
    datastore="postgresql",
    datastore_version="17",
    address="127.0.0.1",
    port=6000,
    ram_mib=512,
    volume_gib=None,
)


def test_a_directory_gives_the_driver_of_its_instance(tmp_path: Path) -> None:
    registry = discover()
    datastore = registry.get("postgresql")
    assert datastore is not None
    for version in ("17", datastore.default_version.id):
        replace(GUEST, datastore_version=version).save(tmp_path)
        instance_id, driver = load_driver(
            tmp_path, registry=registry, engines=EngineSettings(engines_dir=tmp_path)
        )
        assert instance_id == "i-1"
        assert driver.status() is ServiceStatus.NEW
        assert not driver.is_prepared()


@pytest.mark.parametrize("change", [{"datastore": "oracle"}, {"datastore_version": "7"}])
def test_what_nobody_here_knows_is_said(tmp_path: Path, change: dict[str, str]) -> None:
    replace(GUEST, **change).save(tmp_path)  # type: ignore[arg-type] # any field
    with pytest.raises(GuestFailed, match="is unknown to this agent"):
        load_driver(tmp_path, registry=discover(), engines=EngineSettings(engines_dir=tmp_path))


def test_a_directory_without_the_file_is_no_guest(tmp_path: Path) -> None:
    with pytest.raises(GuestConfigInvalid):
        load_driver(tmp_path, registry=discover(), engines=EngineSettings(engines_dir=tmp_path))
