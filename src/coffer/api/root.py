"""The engine's superuser, as a tenant may have it; no runs, for the specification has no events for it."""

from coffer.api.bodies import Root
from coffer.api.call import Answer, Call
from coffer.api.guests import asking, credentials_of
from coffer.api.names import check_password
from coffer.api.rules import rules_of
from coffer.api.states import require_usable, require_writable
from coffer.catalogue.errors import NotFound
from coffer.store import instances


def show(call: Call) -> Answer:
    """Say whether root is enabled, by asking the server."""
    instance = call.instance()
    require_usable(instance, "showing root")
    with asking(instance.id):
        enabled = call.services.guest(instance.id).is_root_enabled(call.ctx)
    return Answer(200, {"rootEnabled": enabled})


def enable(call: Call) -> Answer:
    """Give the tenant the superuser, with his password or a new one; the answer is its only way out."""
    password = call.read(Root).password if call.body.strip() else None
    instance = call.instance()
    if password is not None:
        check_password(password, rules_of(call, instance), "password")
    require_usable(instance, "enabling root")
    require_writable(instance)
    chosen = password.reveal() if password is not None else None
    with asking(instance.id):
        name, made = credentials_of(call.services.guest(instance.id).enable_root(call.ctx, chosen))
    now = call.services.lifecycle.clock()
    with call.services.database.writing() as tx:
        instances.update(tx, instance.id, now, root_enabled_at=now)
    return Answer(200, {"user": {"name": name, "password": made}})


def disable(call: Call) -> Answer:
    """Take the superuser away from the tenant."""
    instance = call.instance()
    require_usable(instance, "disabling root")
    require_writable(instance)
    guest = call.services.guest(instance.id)
    with asking(instance.id):
        # The server is asked too: an answer that came too late left nothing with us.
        if instance.root_enabled_at is None and not guest.is_root_enabled(call.ctx):
            raise NotFound(resource="The root user of instance", id=instance.id)
        guest.disable_root(call.ctx)
    return Answer(204)
