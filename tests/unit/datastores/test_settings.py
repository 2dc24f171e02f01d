"""How the memory of a flavor is divided, and what stands in the files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.datastores.postgresql.settings import (
    kept_log_mib,
    memory_for,
    pg_hba_conf,
    pinned_settings,
    postgresql_conf,
    server_settings,
)


@pytest.mark.parametrize(
    ("ram_mib", "shared_mib", "cache_mib", "connections"),
    [(128, 32, 96, 20), (512, 128, 384, 64), (1024, 256, 768, 128), (4096, 1024, 3072, 500)],
)
def test_a_quarter_is_the_servers_cache(
    ram_mib: int, shared_mib: int, cache_mib: int, connections: int
) -> None:
    memory = memory_for(ram_mib)
    assert memory.shared_buffers_mib == shared_mib
    assert memory.effective_cache_size_mib == cache_mib
    assert memory.max_connections == connections


@given(st.integers(min_value=64, max_value=4 * 1024 * 1024))
def test_every_flavor_gets_values_that_the_server_takes(ram_mib: int) -> None:
    memory = memory_for(ram_mib)
    assert 8 <= memory.shared_buffers_mib <= max(8, ram_mib // 2)
    assert memory.work_mem_kib >= 64
    assert 1 <= memory.maintenance_work_mem_mib <= ram_mib
    assert memory.max_connections > 3 + 6


@given(st.integers(min_value=64, max_value=1024 * 1024))
def test_a_bigger_flavor_never_gets_less(ram_mib: int) -> None:
    smaller, bigger = memory_for(ram_mib), memory_for(ram_mib * 2)
    assert bigger.shared_buffers_mib >= smaller.shared_buffers_mib
    assert bigger.max_connections >= smaller.max_connections


def test_wal_summaries_only_where_the_version_has_them() -> None:
    assert "summarize_wal" in server_settings(version="17", ram_mib=512, volume_gib=1)
    assert "summarize_wal" not in server_settings(version="15", ram_mib=512, volume_gib=1)


def test_values_are_quoted() -> None:
    assert "name = 'it''s \\\\ here'" in postgresql_conf({"name": "it's \\ here"})


def test_only_passwords_open_the_door_and_the_administrator_comes_from_this_machine() -> None:
    for address, peers in (("127.0.0.1", "127.0.0.0/8"), ("10.0.0.5", "0.0.0.0/0")):
        rules = [line.split() for line in pg_hba_conf(address).splitlines() if line.startswith("host")]
        assert {rule[-1] for rule in rules} == {"scram-sha-256", "reject"}
        assert rules[0][2:] == ["os_admin", "samehost", "scram-sha-256"]
        assert rules[1][1:] == ["replication", "os_admin", "samehost", "scram-sha-256"]
        assert rules[2][2:] == ["os_admin", "all", "reject"]
        assert rules[3][1:] == ["replication", "+os_replica", "samehost", "scram-sha-256"]
        assert rules[4][1:] == ["postgres", "+os_replica", "samehost", "scram-sha-256"]
        assert rules[5][1:] == ["all", "+os_replica", "all", "reject"]
        assert rules[6][1:] == ["all", "all", peers, "scram-sha-256"]


def test_what_no_tenant_may_change_is_pinned() -> None:
    pinned = pinned_settings(conf_dir=Path("/x/conf"), address="127.0.0.1", port=5)
    assert {"hba_file", "config_file", "ident_file", "port", "listen_addresses"} <= pinned.keys()
    assert pinned["unix_socket_directories"] == ""


def test_a_lost_replica_keeps_no_more_of_the_log_than_a_quarter_of_the_volume() -> None:
    for volume_gib, kept in ((None, "256MB"), (1, "256MB"), (100, "25600MB")):
        settings = server_settings(version="17", ram_mib=512, volume_gib=volume_gib)
        assert settings["max_slot_wal_keep_size"] == kept
    assert [kept_log_mib(size) for size in (None, 1, 4, 100)] == [64, 64, 256, 1024]
