"""Plug-ins, their ids and versions."""

from pathlib import Path

from coffer.datastores.driver import EngineSettings
from coffer.datastores.registry import discover

NOWHERE = EngineSettings(engines_dir=Path("/nonexistent"))


def test_every_folder_is_a_datastore_found_by_name_and_by_id() -> None:
    registry = discover()
    assert "postgresql" in [each.name for each in registry]
    for each in registry:
        assert registry.get(each.name) is each
        assert registry.get(each.id) is each
        assert each.default_version in each.versions
        for version in each.versions:
            assert each.version(version.id) is version
            assert each.version(version.name) is version
        assert each.version("unheard of") is None
    assert registry.get("unheard of") is None


def test_ids_never_change_because_clients_store_them() -> None:
    postgresql = discover().get("postgresql")
    assert postgresql is not None
    assert postgresql.id == "4aee3fed-057c-5263-91e2-38a1f7893844"
    assert postgresql.default_version.id == "b13219f7-84b2-53bb-88cf-75d7a4de77d0"


def test_only_what_is_installed_is_offered() -> None:
    for each in discover().offered(NOWHERE):
        assert each.versions
        assert each.default_version in each.versions
