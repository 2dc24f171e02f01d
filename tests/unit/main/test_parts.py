"""What processes are composed of."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from coffer.catalogue.operations import ServerType
from coffer.main.parts import Site, rpc_of
from coffer.main.settings import SettingsError, load
from coffer.store.database import Database


@pytest.mark.parametrize("url", ["carrier://a:tiger@b/", "a:tiger@b", "rabbit://a:tiger@b:port/"])
def test_a_broker_that_cannot_be_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    path = tmp_path / "coffer.conf"
    path.write_text(f"[DEFAULT]\ntransport_url = {url}\n")

    with pytest.raises(SettingsError, match="the option transport_url cannot be used") as refusal:
        rpc_of(load([path]), ExitStack())

    assert "tiger" not in str(refusal.value)
    assert refusal.value.__cause__ is not None
    assert "tiger" not in str(refusal.value.__cause__)


@pytest.mark.parametrize(("address", "shown"), [("10.0.0.1", "10.0.0.1:8779"), ("fd00::1", "[fd00::1]:8779")])
def test_a_service_says_where_it_is(tmp_path: Path, address: str, shown: str) -> None:
    with ExitStack() as cleanup:
        conf = load([], defaults={"my_ip": address, "transport_url": "kombu+memory://", "host": "control-1"})
        database = Database(f"sqlite:///{tmp_path / 'coffer.db'}")
        cleanup.callback(database.close)
        site = Site(conf=conf, database=database, rpc=rpc_of(conf, cleanup), root=tmp_path, port=8779)

        emitter = site.lifecycle(ServerType.API).announcer.emitter

        assert emitter.server_ip == shown
        assert emitter.publisher_id == "api.control-1"
        assert emitter.service_id != site.lifecycle(ServerType.API).announcer.emitter.service_id
