"""The control plane is killed in the middle of a change of a user, and started again (G6).

The middle is held open from inside the server: a session of the tenant's superuser has changed the same rows of the
catalogue, and not committed.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.support.announcements import settled
from tests.support.standalone import Standalone
from tests.support.trove import Tenant, exceptions
from tests.support.waiting import wait_for

WAITING = (
    "select count(*) from pg_stat_activity where application_name = 'coffer' and wait_event_type = 'Lock'"
)
CHANGED = f"new-{secrets.token_hex(4)}"
CALLS: dict[str, Callable[[Any, str], None]] = {
    "user_grant": lambda users, instance_id: users.grant(instance_id, "ann", ["orders"]),
    "user_revoke": lambda users, instance_id: users.revoke(instance_id, "ann", "shop"),
    "user_update_attributes": lambda users, instance_id: users.update_attributes(
        instance_id, "ann", {"password": CHANGED}
    ),
    "user_change_password": lambda users, instance_id: users.change_passwords(
        instance_id, [{"name": "ann", "password": CHANGED}]
    ),
}


@contextmanager
def holding(tenant: Tenant, instance_id: str, root: str) -> Iterator[Any]:
    """Hold what every change of ann needs; gives a second session to look on."""

    def log_in() -> Any:
        return tenant.log_in(instance_id, database="orders", user="postgres", password=root)

    with log_in() as holder, log_in() as onlooker:
        holder.execute("begin")
        holder.execute("grant usage on schema public to ann")
        holder.execute("alter database shop connection limit 50")
        holder.execute("alter role ann connection limit 50")
        yield onlooker
        holder.execute("rollback")


@pytest.mark.parametrize("operation", CALLS)
def test_a_change_cut_short_ends_once_and_can_be_made_again(coffer: Standalone, operation: str) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    instance_id = tenant.create_active(databases=["shop", "orders"], users={"ann": password})
    if operation == "user_grant":
        tenant.api.users.revoke(instance_id, "ann", "orders")
    _, root = tenant.api.root.create(instance_id)

    def call() -> None:
        with suppress(Exception):  # the connection breaks, with whatever the client calls it
            CALLS[operation](tenant.api.users, instance_id)

    with holding(tenant, instance_id, root) as onlooker:
        caller = threading.Thread(target=call)
        caller.start()
        wait_for(lambda: onlooker.execute(WAITING).fetchone()[0] > 0, 25, "the change to be under way")
        coffer.kill_and_start()
        caller.join(30)

    cut_short = settled(coffer).of(operation)[-1]
    assert (cut_short.error["error_code"], cut_short.error["fault"]) == ("owner_died", "system")
    tenant = Tenant(coffer.url)
    assert tenant.show(instance_id)["status"] == "ACTIVE"
    tenant.wait_for_server(instance_id, "HEALTHY")
    have_anew(tenant, operation, instance_id)
    announced = settled(coffer)
    assert announced.of(operation)[-1].succeeded or operation == "user_revoke"
    access = [each.name for each in tenant.api.users.list_access(instance_id, "ann")]
    assert access == {"user_grant": ["orders", "shop"], "user_revoke": ["orders"]}.get(
        operation, ["orders", "shop"]
    )
    if operation in {"user_update_attributes", "user_change_password"}:
        tenant.wait_until_it_takes(instance_id, database="shop", user="ann", password=CHANGED)
    for secret in (password, root, CHANGED):
        assert secret not in coffer.log_text() + repr(announced.events)


def have_anew(tenant: Tenant, operation: str, instance_id: str) -> None:
    """Make the change again; the server may have completed the first one, and what is revoked is not found."""
    with suppress(*([exceptions.NotFound] if operation == "user_revoke" else [])):
        CALLS[operation](tenant.api.users, instance_id)
