"""One call with several items: a run each, with one request id."""

import pytest
from tests.contract.lifecycle.ground import Ground, context

from coffer.catalogue.errors import DatabaseExists, WrongState
from coffer.catalogue.states import InstanceState

THREE = [{"dbname": "shop"}, {"dbname": "stock"}, {"dbname": "orders"}]


def test_three_databases_are_three_runs_of_one_request(ground: Ground) -> None:
    ctx = context()

    runs = ground.begun("database_create", ground.has(), THREE, ctx)

    starts = ground.events()
    assert [start.payload["dbname"] for start in starts] == ["shop", "stock", "orders"]
    assert {start.payload["request_id"] for start in starts} == {ctx.request_id}
    assert [start.payload["run_id"] for start in starts] == [run.run_id for run in runs]
    assert len({run.run_id for run in runs}) == 3
    assert [run.item for run in runs] == ["shop", "stock", "orders"]


def test_each_run_ends_for_itself(ground: Ground) -> None:
    shop, stock, orders = ground.begun("database_create", ground.has(), THREE)
    lifecycle = ground.lifecycle()

    lifecycle.end(stock.run_id)
    lifecycle.fail(shop.run_id, DatabaseExists(name="shop"))

    assert ground.told(shop) == ["database_create.start", "database_create.error"]
    assert ground.told(stock) == ["database_create.start", "database_create.end"]
    assert ground.told(orders) == ["database_create.start"]
    assert ground.payload("dbaas.database_create.end")["dbname"] == "stock"
    assert ground.payload("dbaas.database_create.error")["dbname"] == "shop"


def test_a_refused_call_ends_all_of_its_runs(ground: Ground) -> None:
    instance = ground.has(state=InstanceState.SHUTDOWN)

    with pytest.raises(WrongState):
        ground.begun("database_create", instance, THREE)

    assert ground.open_runs() == []
    assert ground.told() == [*["database_create.start"] * 3, *["database_create.error"] * 3]
    ended = [event.payload["dbname"] for event in ground.events() if event.severity == "error"]
    assert ended == ["shop", "stock", "orders"]


def test_an_item_of_strange_letters_is_kept_as_far_as_a_database_can(ground: Ground) -> None:
    (run,) = ground.begun("database_create", ground.has(), [{"dbname": "a\x00b\ud800c"}])

    assert ground.run(run).item == "a b c"
    ground.lifecycle().end(run.run_id)
    assert ground.payload("dbaas.database_create.end")["dbname"] == "a\x00b\ufffdc"
