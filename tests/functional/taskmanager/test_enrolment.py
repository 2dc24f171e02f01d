"""Guests are enrolled with their instances: key and account come before the agent, and go with the instance."""

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.accounts import AccountBook, QueueBook
from tests.support.plane import PROJECT, Plane
from tests.support.rows import new_instance

from coffer.catalogue.errors import CloudFailed
from coffer.catalogue.states import InstanceState
from coffer.lifecycle.guest_channels import GuestChannels, new_secret
from coffer.main.guest_admin import GuestAdmin
from coffer.store import instances
from coffer.taskmanager.enrolment import (
    EnrollingCloud,
    Enrolments,
    FormerGuests,
    Unenrolled,
    password_of,
)
from coffer.taskmanager.rotation import Rotation
from coffer.wire.sealed.credentials import Credentials


def url_of(instance_id: str, keys: Sequence[bytes]) -> str:
    return f"rabbit://{','.join(f'guest-{instance_id}:{password_of(key)}@broker' for key in keys)}/"


@pytest.fixture
def accounts() -> AccountBook:
    return AccountBook()


@pytest.fixture
def queues() -> QueueBook:
    return QueueBook()


@pytest.fixture
def unopened(sqlite_url: str, tmp_path: Path) -> Plane:
    return Plane(sqlite_url, tmp_path / "cloud")


@pytest.fixture
def enrolments(unopened: Plane, accounts: AccountBook, queues: QueueBook) -> Enrolments:
    channels = GuestChannels(unopened.database, [new_secret()])
    return Enrolments(channels, url_of, accounts=accounts, queues=queues)


@pytest.fixture
def plane(unopened: Plane, enrolments: Enrolments) -> Iterator[Plane]:
    unopened.cloud = EnrollingCloud(unopened.local_cloud, enrolments)
    with unopened:
        yield unopened


def credentials_of(plane: Plane, instance_id: str) -> Credentials:
    path = plane.local_cloud.layout.guest_dir(instance_id) / "credentials.json"
    return Credentials.from_json(path.read_text())


def test_a_guest_has_key_and_account_when_its_agent_starts_and_neither_at_the_end(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook, queues: QueueBook
) -> None:
    instance_id = plane.active()
    given = credentials_of(plane, instance_id)
    enrolled = enrolments.channels.enrol(instance_id)
    assert (given.instance_id, given.keys) == (instance_id, {enrolled.key_id: enrolled.key})
    assert accounts.passwords == {instance_id: password_of(enrolled.key)}
    assert given.transport_url == url_of(instance_id, [enrolled.key])
    assert plane.cloud.unentrusted() == []

    assert plane.call("DELETE", f"/instances/{instance_id}")[0] == 202
    plane.wait_until_idle()

    assert (accounts.passwords, enrolments.channels.enrolled(), queues.removed) == ({}, [], [instance_id])


def test_without_the_broker_s_management_nothing_is_made_and_the_failure_says_so(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook
) -> None:
    accounts.is_away = True
    instance_id = plane.create()
    plane.wait_for_state(instance_id, InstanceState.ERROR)
    plane.wait_until_idle()

    row = plane.instance(instance_id)
    assert row.fault_message == (
        f"The guest agent of instance {instance_id} could not be given access to the message broker."
    )
    error = plane.event("dbaas.instance_create.error")
    assert (error.payload["error_code"], error.payload["fault"]) == ("enrolment_failed", "system")
    assert plane.local_cloud.owned() == []
    assert enrolments.channels.enrolled() == []


def test_a_server_that_cannot_be_made_leaves_no_account(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_spec: object) -> None:
        raise CloudFailed(reason="The disk is full.")

    monkeypatch.setattr(plane.local_cloud, "create", full)
    plane.wait_for_state(plane.create(), InstanceState.ERROR)
    plane.wait_until_idle()
    assert (accounts.passwords, enrolments.channels.enrolled()) == ({}, [])


def test_a_deletion_goes_through_without_the_broker_and_a_chore_removes_the_account_later(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook, queues: QueueBook
) -> None:
    stays, goes = plane.active(), plane.active()
    stranger = str(uuid.uuid4())
    accounts.create(stranger, "another installation's")
    accounts.is_away = queues.is_away = True
    assert plane.call("DELETE", f"/instances/{goes}")[0] == 202
    plane.wait_until_idle()
    assert plane.instance(goes).state == InstanceState.DELETED
    assert list(plane.cloud.owned()) == [stays]
    assert sorted(accounts.passwords) == sorted([stays, goes, stranger])

    now_s = [0.0]
    chore = FormerGuests(plane.database, enrolments, interval_s=10.0, monotonic_s=lambda: now_s[0])
    chore.step()
    assert goes in accounts.passwords
    accounts.is_away = queues.is_away = False
    now_s[0] = 10.0
    chore.step()

    assert sorted(accounts.passwords) == sorted([stays, stranger])
    assert queues.removed == [goes]
    assert enrolments.channels.enrolled() == [stays]


def test_guests_that_were_there_before_are_enrolled_and_those_under_way_are_not(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook
) -> None:
    old = plane.active()
    building = str(uuid.uuid4())
    plane.local_cloud.layout.guest_dir(building).mkdir()
    with plane.database.writing() as tx:
        instances.insert(tx, new_instance(id=building, project_id=PROJECT, state=InstanceState.BUILD))
    (plane.local_cloud.layout.guest_dir(old) / "credentials.json").unlink()
    enrolments.strike_off(old)
    assert sorted(plane.cloud.unentrusted()) == sorted([old, building])

    chore = Unenrolled(plane.database, plane.cloud, enrolments)
    accounts.is_away = True
    chore.at_start()
    assert old in plane.cloud.unentrusted()
    accounts.is_away = False
    chore.at_start()

    given = credentials_of(plane, old)
    (key,) = given.keys.values()
    assert accounts.passwords == {old: password_of(key)}
    assert enrolments.channels.key(old, max(given.keys)) == key
    assert list(chore.find()) == []


def test_a_guest_that_lost_its_credentials_gets_others(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook
) -> None:
    instance_id = plane.active()
    before = credentials_of(plane, instance_id)
    (plane.local_cloud.layout.guest_dir(instance_id) / "credentials.json").unlink()

    Unenrolled(plane.database, plane.cloud, enrolments).at_start()

    after = credentials_of(plane, instance_id)
    (old_id,), ((new_id, new_key),) = before.keys, after.keys.items()
    assert new_id > old_id
    assert enrolments.channels.key(instance_id, old_id) is None
    assert accounts.passwords == {instance_id: password_of(new_key)}


def test_a_guest_that_is_not_understood_is_enrolled_again_when_an_operator_says_so(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook
) -> None:
    building, instance_id = str(uuid.uuid4()), plane.active()
    with plane.database.writing() as tx:
        instances.insert(tx, new_instance(id=building, project_id=PROJECT, state=InstanceState.BUILD))
    enrolments.channels.enrol(building)
    before = credentials_of(plane, instance_id)
    admin = GuestAdmin(plane.database, enrolments, Rotation(enrolments, plane.guest))

    # Nobody would give another key to one that is being made.
    assert admin.enrollable() == [instance_id]
    assert not admin.enrol_again(building)
    assert not admin.enrol_again("nobody")
    assert admin.enrol_again(instance_id)
    assert enrolments.channels.enrolled() == [building]
    Unenrolled(plane.database, plane.cloud, enrolments).step()

    after = credentials_of(plane, instance_id)
    ((key_id, key),) = after.keys.items()
    assert key not in before.keys.values()
    assert accounts.passwords == {instance_id: password_of(key)}
    assert enrolments.channels.keys(instance_id) == {key_id: key}


class Killed(BaseException):
    """The process ends here."""


def test_a_guest_is_found_again_wherever_its_enrolment_was_killed(
    plane: Plane, enrolments: Enrolments, accounts: AccountBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    instance_id = plane.active()
    places: list[tuple[object, str]] = [
        (enrolments.channels, "enrol"),
        (enrolments.channels, "begin_rotation"),
        (enrolments.channels, "complete_rotation"),
        (accounts, "create"),
        (plane.local_cloud, "entrust"),
    ]
    for place, step in places:
        enrolments.channels.remove(instance_id)
        chore = Unenrolled(plane.database, plane.cloud, enrolments)
        with monkeypatch.context() as patch:
            patch.setattr(place, step, killed)
            with pytest.raises(Killed):
                chore.at_start()
        assert [row.id for row in chore.find()] == [instance_id], step
        chore.at_start()
        assert credentials_of(plane, instance_id).keys == enrolments.channels.keys(instance_id), step
        assert list(chore.find()) == []


def test_what_a_guest_is_given_is_in_no_log(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    instance_id = plane.active()
    given = json.loads(credentials_of(plane, instance_id).to_json())
    plane.cloud.delete(instance_id)
    (key,) = given["keys"].values()
    assert key not in caplog.text
    assert given["transport_url"] not in caplog.text
