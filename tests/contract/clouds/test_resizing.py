"""Another size in the local cloud: what the next agent is told, and nothing else, changes."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.clouds.conftest import agents_of, clear, cloud_on, config_of, guest_dir, spec

from coffer.catalogue.errors import CloudFailed
from coffer.clouds.local.cloud import LocalCloud
from coffer.clouds.local.flavors import DEFAULT_FLAVORS
from coffer.clouds.local.settings import LocalSettings


def test_another_flavor_is_another_memory(cloud: LocalCloud) -> None:
    cloud.create(spec())
    before, agents = config_of(cloud), agents_of(cloud)

    for _ in range(2):
        cloud.resize("i-1", DEFAULT_FLAVORS[2])
        assert config_of(cloud) == replace(before, ram_mib=2048)

    assert agents_of(cloud) == agents
    cloud.resize("i-1", DEFAULT_FLAVORS[0])
    assert config_of(cloud) == before


def test_a_volume_has_another_size_and_has_it_back(cloud: LocalCloud) -> None:
    cloud.create(spec(volume_gib=2))
    before = config_of(cloud)

    cloud.resize_volume("i-1", 5)
    assert config_of(cloud) == replace(before, volume_gib=5)
    cloud.resize_volume("i-1", 2)
    assert config_of(cloud) == before


def test_creating_it_again_does_not_undo_it(cloud: LocalCloud) -> None:
    cloud.create(spec(volume_gib=2))
    cloud.resize_volume("i-1", 5)

    cloud.create(spec(volume_gib=2))

    assert config_of(cloud).volume_gib == 5


def test_what_has_no_place_here_cannot_be_resized(cloud: LocalCloud) -> None:
    with pytest.raises(CloudFailed, match="no place"):
        cloud.resize("i-9", DEFAULT_FLAVORS[1])
    with pytest.raises(CloudFailed, match="no place"):
        cloud.resize_volume("i-9", 5)
    assert cloud.owned() == []


def test_what_is_damaged_is_not_made_anew(cloud: LocalCloud) -> None:
    cloud.create(spec())
    (guest_dir(cloud) / "guest.json").write_text("{}")

    with pytest.raises(CloudFailed, match="damaged"):
        cloud.resize("i-1", DEFAULT_FLAVORS[1])
    assert (guest_dir(cloud) / "guest.json").read_text() == "{}"


def test_on_a_full_disk_no_volume_grows_and_each_can_have_its_old_size_back(scratch_dir: Path) -> None:
    roomy = cloud_on(scratch_dir)
    roomy.create(spec(volume_gib=2))
    full = cloud_on(scratch_dir, LocalSettings(min_free_gib=10.0**9))

    with pytest.raises(CloudFailed, match="no space left"):
        full.resize_volume("i-1", 5)
    assert config_of(roomy).volume_gib == 2
    full.resize_volume("i-1", 1)
    assert config_of(roomy).volume_gib == 1
    clear(roomy)
