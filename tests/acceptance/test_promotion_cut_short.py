"""The control plane is killed in the middle of a promotion, and started again (G6)."""

import os
import secrets
import signal

from tests.support.announcements import settled
from tests.support.standalone import Standalone
from tests.support.trove import Tenant
from tests.support.waiting import wait_for


def test_a_promotion_cut_short_is_completed_by_who_comes_after(coffer: Standalone) -> None:
    password = secrets.token_urlsafe(12)
    tenant = Tenant(coffer.url)
    source_id = tenant.create_active(databases=["shop"], users={"ann": password})
    replica_id = str(tenant.api.instances.create("mirror", replica_of=source_id).id)
    tenant.wait_for(replica_id, "ACTIVE")
    with tenant.log_in(source_id, database="shop", user="ann", password=password) as session:
        session.execute("create table sales as select 1 as id")
    pid = int((coffer.guest_dir(source_id) / "data" / "postmaster.pid").read_text().split()[0])

    # A source that does not go on cannot end, and the promotion waits for it.
    os.kill(pid, signal.SIGSTOP)
    try:
        tenant.api.instances.promote_to_replica_source(replica_id)
        query = "select 1 from runs where operation = 'instance_promote' and claimed_at is not null"
        wait_for(lambda: coffer.rows(query), 30, "the promotion to be under way")
        coffer.kill_and_start()
    finally:
        os.kill(pid, signal.SIGCONT)

    tenant = Tenant(coffer.url)
    for instance_id in (source_id, replica_id):
        tenant.wait_for(instance_id, "ACTIVE")
    (run,) = settled(coffer).of("instance_promote")
    assert run.succeeded
    assert tenant.show(source_id)["replica_of"]["id"] == replica_id
    with tenant.log_in(replica_id, database="shop", user="ann", password=password) as session:
        session.execute("insert into sales values (2)")
        assert session.execute("select count(*) from sales").fetchone() == (2,)
