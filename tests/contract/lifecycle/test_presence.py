"""The sign of life of a service: who lives, how, and who was taken for dead."""

from typing import Any

from tests.contract.lifecycle.ground import Ground
from tests.support.waiting import wait_for

from coffer.catalogue.operations import ServerType
from coffer.lifecycle.presence import Presence
from coffer.store import services


def known(ground: Ground) -> set[str]:
    with ground.database.reading() as tx:
        return {service.id for service in services.list_all(tx)}


def presence(ground: Ground, **options: Any) -> Presence:
    emitter = ground.lifecycle(ServerType.TASK).announcer.emitter
    return Presence(ground.database, emitter, kind="taskmanager", clock=ground.clock, **options)


def test_a_service_is_known_while_it_lives(ground: Ground) -> None:
    part = presence(ground)
    part.start()
    assert known(ground) == {"task-1"}

    part.stop()
    assert known(ground) == set()


def test_a_service_says_again_and_again_that_it_lives(ground: Ground) -> None:
    part = presence(ground, interval_s=0.01)
    part.start()
    try:
        ground.clock.forward(100)

        def beaten() -> bool:
            with ground.database.reading() as tx:
                return services.list_all(tx)[0].seen_at == ground.clock()

        wait_for(beaten, 20, "a sign of life")
    finally:
        part.stop()


def test_a_service_says_what_keeps_it_from_its_work(ground: Ground) -> None:
    said: list[str | None] = ["the broker " + "is away " * 1000]
    part = presence(ground, trouble=lambda: said[-1])
    part.start()
    try:
        with ground.database.reading() as tx:
            (service,) = services.list_all(tx)
        assert service.trouble is not None
        assert service.trouble == (said[0] or "")[:1000]
        said.append(None)
        part.beat()
        with ground.database.reading() as tx:
            assert services.list_all(tx)[0].trouble is None
    finally:
        part.stop()


def test_a_service_that_was_taken_for_dead_registers_again(ground: Ground) -> None:
    """Otherwise nobody would miss it the next time, and its runs would wait for their deadlines."""
    part = presence(ground)
    part.start()
    try:
        with ground.database.writing() as tx:
            services.remove(tx, "task-1")
        part.beat()
        assert known(ground) == {"task-1"}
    finally:
        part.stop()
