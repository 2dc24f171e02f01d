"""A fact of a bill is stated in the transaction of the ending that makes it true."""

from tests.contract.lifecycle.ground import Ground
from tests.support.rows import NOON

from coffer.catalogue.operations import ServerType
from coffer.lifecycle.payloads import timestamp
from coffer.lifecycle.runs import Ending
from coffer.store import instances


def test_a_fact_follows_the_ending_that_made_it_true(ground: Ground) -> None:
    run = ground.creation("i-1")
    lifecycle = ground.lifecycle(ServerType.CONDUCTOR, service_ids={"postgresql": "service-1"})

    def launch(ending: Ending) -> None:
        launched = instances.get(ending.tx, "i-1")
        assert launched is not None
        lifecycle.state_fact(ending, "trove.instance.create", launched)

    lifecycle.end(run.run_id, launch)

    assert ground.told() == ["instance_create.start", "instance_create.end", "trove.instance.create"]
    fact = ground.events()[-1]
    assert fact.payload["tenant_id"] == "project-1"
    assert fact.payload["state"] == "active"
    assert fact.payload["service_id"] == "service-1"
    assert fact.payload["launched_at"] == timestamp(NOON)
    assert fact.context["request_id"] == run.request_id
    assert fact.publisher_id == "conductor.control-1"


def test_a_fact_names_the_user_who_made_the_call(ground: Ground) -> None:
    instance = ground.has(user_id="who-created-it")
    (run,) = ground.begun("instance_resize_volume", instance, [{"new_size": 3}])
    lifecycle = ground.lifecycle(ServerType.TASK)

    lifecycle.end(
        run.run_id,
        lambda ending: lifecycle.state_fact(
            ending, "trove.instance.modify_volume", instance, old_volume_size=1, modify_at=ending.now
        ),
    )

    assert ground.payload("trove.instance.modify_volume")["user_id"] == run.user_id == "user-1"


def test_a_fact_takes_values_of_its_own(ground: Ground) -> None:
    instance = ground.has()
    run = ground.one_begun("instance_resize_volume", instance)
    lifecycle = ground.lifecycle(ServerType.TASK)

    def resized(ending: Ending) -> None:
        lifecycle.state_fact(
            ending, "trove.instance.modify_volume", instance, old_volume_size=1, modify_at=ending.now
        )

    lifecycle.end(run.run_id, resized)

    fact = ground.payload("trove.instance.modify_volume")
    assert (fact["old_volume_size"], fact["volume_size"]) == (1, 2)
    assert fact["modify_at"] == timestamp(ground.clock())
