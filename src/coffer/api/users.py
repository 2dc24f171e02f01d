"""Users of an instance, and the databases that they may use. Passwords go through here and stay nowhere."""

from functools import partial

from coffer.api.bodies import NewUser, Users
from coffer.api.call import Answer, Call
from coffer.api.guests import GuestUser, asking, named, names_of, user_of, users_of
from coffer.api.names import HOST_LIMIT, check_users, identity, user_of_path
from coffer.api.paging import slice_after
from coffer.api.rules import rules_of
from coffer.api.settling import Cast, begin
from coffer.api.states import require_usable
from coffer.api.validation import require_count
from coffer.catalogue.errors import CofferError, NotFound, UserExists
from coffer.datastores.driver import ANY_HOST
from coffer.store.instances import Instance
from coffer.wire.contracts import GuestClient
from coffer.wire.json import JSON


def index(call: Call) -> Answer:
    """List the users, a page at a time."""
    request = call.page()
    instance = call.instance()
    require_usable(instance, "listing users")
    page = slice_after(_present(call, instance), request, marker_of=lambda user: f"{user.name}@{user.host}")
    body: dict[str, JSON] = {"users": [_view(user) for user in page.items]}
    return Answer(200, call.paged(body, request, page.next_marker))


def show(call: Call) -> Answer:
    """Show one user."""
    instance, name, host = _target(call)
    require_usable(instance, "showing a user")
    with asking(instance.id):
        user = user_of(call.services.guest(instance.id).get_user(call.ctx, name, host))
    return Answer(200, {"user": _view(user)})


def access(call: Call) -> Answer:
    """List the databases that a user may use."""
    instance, name, host = _target(call)
    require_usable(instance, "showing a user's access")
    with asking(instance.id):
        databases = names_of(call.services.guest(instance.id).list_access(call.ctx, name, host))
    return Answer(200, {"databases": named(databases)})


def create(call: Call) -> Answer:
    """Create users, a run each; 202 if at least one is under way, else the first one's error."""
    users = call.read(Users).users
    require_count(users, "users")
    instance = call.instance()
    rules = rules_of(call, instance)
    check_users(users, rules, "users")
    items = [{"username": user.name} for user in users]
    with begin(call, "user_create", instance, items) as settling:
        present = {identity(user.name, user.host, rules) for user in _present(call, instance)}
        guest = call.services.guest(instance.id)
        taken = [identity(user.name, user.host, rules) in present for user in users]
        jobs = [_creation(user, guest, is_taken=there) for user, there in zip(users, taken, strict=True)]
        return settling.to_guest(instance.id, jobs)


def delete(call: Call) -> Answer:
    """Delete a user."""
    instance, name, host = _target(call)
    items = [{"username": name}]
    with begin(call, "user_delete", instance, items) as settling:
        guest = call.services.guest(instance.id)
        with asking(instance.id):
            guest.get_user(call.ctx, name, host)
        return settling.to_guest(instance.id, [partial(guest.delete_user, name=name, host=host)])


def _target(call: Call) -> tuple[Instance, str, str]:
    instance = call.instance()
    rules = rules_of(call, instance)
    name, host = user_of_path(call.params["user"], rules)
    if rules.user_name(name) or not host.isprintable() or len(host) > HOST_LIMIT:
        raise NotFound(resource="User", id=name)  # nobody can be called so; and no event shall quote it
    return instance, name, host


def _present(call: Call, instance: Instance) -> list[GuestUser]:
    with asking(instance.id):
        return users_of(call.services.guest(instance.id).list_users(call.ctx))


def _creation(user: NewUser, guest: GuestClient, *, is_taken: bool) -> CofferError | Cast:
    if is_taken:
        return UserExists(name=user.name)
    return partial(guest.create_user, user=user_to_json(user))


def user_to_json(user: NewUser) -> dict[str, JSON]:
    """Return a user as he travels to the guest: the only place where his password is revealed."""
    return {
        "name": user.name,
        "password": user.password.reveal(),
        "host": user.host or ANY_HOST,
        "databases": [{"name": database.name} for database in user.databases],
    }


def _view(user: GuestUser) -> JSON:
    return {"name": user.name, "host": user.host, "databases": named(user.databases)}
