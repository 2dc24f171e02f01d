"""How a tenant gets rid of what does not come to an end by itself, with the field's own commands."""

import secrets

import pytest
from tests.support.announcements import settled
from tests.support.openstack import OpenStack
from tests.support.processes import about, is_running
from tests.support.standalone import Standalone
from tests.support.trove import Refused, Tenant
from tests.support.waiting import wait_for


def test_an_instance_that_is_being_built_is_deleted_by_force(coffer: Standalone) -> None:
    tenant = Tenant(coffer.url)
    instance_id = tenant.create(databases=["shop"])
    with pytest.raises(Refused) as refusal:
        tenant.api.instances.delete(instance_id)
    assert refusal.value.http_status == 422

    OpenStack(coffer.url).run("instance", "force", "delete", instance_id)

    tenant.wait_until_gone(instance_id)
    announced = settled(coffer)
    creation = announced.only("instance_create")
    if not creation.succeeded:  # the command takes a second; a quick machine may have been quicker
        assert (creation.error["error_code"], creation.error["fault"]) == ("reset", "user")
    assert announced.of("instance_delete")[-1].succeeded
    wait_for(lambda: not coffer.guest_dir(instance_id).exists(), 30, "the directory to be gone")
    wait_for(lambda: about(coffer.guest_dir(instance_id)) == [], 30, "its processes to be gone")


def test_a_reset_right_after_the_call_ends_the_run_once_and_leaves_nothing_behind(coffer: Standalone) -> None:
    tenant = Tenant(coffer.url)
    instance_id = tenant.create(databases=["shop"])

    tenant.api.instances.reset_status(instance_id)

    assert tenant.show(instance_id)["status"] == "ERROR"
    creation = settled(coffer).only("instance_create")
    assert (creation.error["error_code"], creation.error["fault"]) == ("reset", "user")
    # What was made of it goes at once: a server that is on nobody's bill is in nobody's use.
    wait_for(lambda: not coffer.guest_dir(instance_id).exists(), 60, "what was made to be gone")
    tenant.api.instances.delete(instance_id)
    tenant.wait_until_gone(instance_id)
    announced = settled(coffer)
    assert announced.only("instance_delete").succeeded
    assert announced.facts("trove.instance.create") == announced.facts("trove.instance.delete") == []
    wait_for(lambda: not coffer.guest_dir(instance_id).exists(), 30, "the directory to be gone")
    wait_for(lambda: about(coffer.guest_dir(instance_id)) == [], 30, "its processes to be gone")


def test_a_reset_in_the_middle_of_a_restart_leaves_an_instance_in_use(coffer: Standalone) -> None:
    tenant = Tenant(coffer.url)
    password = secrets.token_urlsafe(12)
    instance_id = tenant.create_active(users={"alice": password})
    postmaster = coffer.postmaster(instance_id)
    tenant.api.instances.restart(instance_id)

    OpenStack(coffer.url).run("instance", "reset", "status", instance_id)

    assert tenant.show(instance_id)["status"] == "ACTIVE"
    run = settled(coffer).only("instance_restart")
    assert run.succeeded or run.error["error_code"] == "reset"
    # The guest goes on with what it was told; that it is healthy may have been said before.
    wait_for(lambda: not is_running(postmaster), 30, "the server to stop")
    tenant.wait_until_it_takes(instance_id, database="shop", user="alice", password=password)
    tenant.api.databases.create(instance_id, [{"name": "orders"}])
    assert settled(coffer).only("database_create").succeeded
