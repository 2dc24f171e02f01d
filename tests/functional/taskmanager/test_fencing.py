"""A dead source is stopped before a replica takes its place: what is done where that is not so easy."""

import pytest
from tests.functional.taskmanager.replicas import die, eject, ending, replicated, roles, states
from tests.support.plane import Plane

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import InstanceState, ServiceStatus
from coffer.lifecycle.emitter import utcnow
from coffer.store import instances

NO = GuestFailed(reason="The server does not want to.")
ACTIVE, ERROR = InstanceState.ACTIVE, InstanceState.ERROR


@pytest.mark.parametrize("status", [ServiceStatus.HEALTHY, ServiceStatus.CRASHED])
def test_nobody_takes_the_place_of_a_source_that_cannot_be_stopped(
    plane: Plane, status: ServiceStatus
) -> None:
    """A crashed one that refuses is busy: perhaps with its own start."""
    source, first, second = replicated(plane)
    die(plane, source)
    with plane.database.writing() as tx:
        instances.update(tx, source, utcnow(), service_seen_at=None, state=ERROR)
    server = plane.server(source)
    server.fails |= {"demote": NO, "stop": NO, "start": NO}
    server.before["demote"] = lambda: setattr(server, "status", status)

    eject(plane, source)

    assert ending(plane, "instance_eject") == "error guest_failed system"
    assert source in str(plane.event("dbaas.instance_eject.error").payload["message"])
    assert roles(plane, source, first, second) == [None, source, source]
    assert states(plane, first, second) == [ACTIVE] * 2
    assert "promote" not in plane.server(first).done + plane.server(second).done
    assert server.done.count("demote") == 2  # by the agent that was there, and by a new one


def test_a_crashed_source_that_ended_uncleanly_is_ejected(plane: Plane) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    plane.server(source).fails["demote"] = NO

    eject(plane, source)

    assert ending(plane, "instance_eject") == "end"
    assert states(plane, source, first, second) == [ACTIVE] * 3
    assert plane.server(source).done.count("stop") == 1


def test_a_source_that_is_ended_and_stays_silent_is_left_behind_with_an_error(
    plane: Plane, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, first, second = replicated(plane)
    die(plane, source)
    plane.launcher.stop(source)
    monkeypatch.setattr(plane.cloud, "start_guests", lambda _: None)

    eject(plane, source)

    assert ending(plane, "instance_eject") == "end"
    assert None in roles(plane, first, second)
    said = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert any(source in each and "silent" in each for each in said), said
