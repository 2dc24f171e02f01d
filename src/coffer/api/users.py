"""Users of an instance. Passwords go through here and stay nowhere."""

from functools import partial

from msgspec import UnsetType

from coffer.api.bodies import NewPassword, NewPasswords, NewUser, UpdateUser, UserChanges, Users
from coffer.api.call import Answer, Call
from coffer.api.guests import GuestUser, asking, named, user_of, users_of
from coffer.api.names import (
    HOST_LIMIT,
    check_passwords,
    check_user_changes,
    check_users,
    identity,
    user_of_path,
)
from coffer.api.paging import slice_after
from coffer.api.rules import rules_of
from coffer.api.settling import Cast, begin
from coffer.api.states import require_usable
from coffer.api.validation import require_count
from coffer.catalogue.errors import CofferError, NotFound, UserExists
from coffer.datastores.driver import ANY_HOST
from coffer.store.instances import Instance
from coffer.wire.guest_client import GuestClient
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
    instance, name, host = target(call)
    require_usable(instance, "showing a user")
    with asking(instance.id):
        user = user_of(call.services.guest(instance.id).get_user(call.ctx, name, host))
    return Answer(200, {"user": _view(user)})


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


def update(call: Call) -> Answer:
    """Change the name, the password or the host of a user; what he may do stays."""
    changes = call.read(UpdateUser).user
    instance, name, host = target(call)
    rules = rules_of(call, instance)
    check_user_changes(changes, rules, "user")
    items = [{"username": name}]
    with begin(call, "user_update_attributes", instance, items) as settling:
        present = {identity(user.name, user.host, rules) for user in _present(call, instance)}
        old = identity(name, host, rules)
        new = identity(changes.name or name, changes.host or host, rules)
        if old not in present:
            raise NotFound(resource="User", id=name)
        if new != old and new in present:
            raise UserExists(name=changes.name or name)
        guest = call.services.guest(instance.id)
        job = partial(guest.update_attributes, name=name, host=host, changes=_changes_to_json(changes))
        return settling.to_guest(instance.id, [job])


def change_passwords(call: Call) -> Answer:
    """Give users new passwords, a run each; 202 if at least one is under way, else the first one's error."""
    users = call.read(NewPasswords).users
    require_count(users, "users")
    instance = call.instance()
    rules = rules_of(call, instance)
    check_passwords(users, rules, "users")
    items = [{"username": user.name} for user in users]
    with begin(call, "user_change_password", instance, items) as settling:
        present = {identity(user.name, user.host, rules) for user in _present(call, instance)}
        guest = call.services.guest(instance.id)
        there = [identity(user.name, user.host, rules) in present for user in users]
        jobs = [_new_password(user, guest, is_there=found) for user, found in zip(users, there, strict=True)]
        return settling.to_guest(instance.id, jobs)


def delete(call: Call) -> Answer:
    """Delete a user."""
    instance, name, host = target(call)
    items = [{"username": name}]
    with begin(call, "user_delete", instance, items) as settling:
        guest = call.services.guest(instance.id)
        with asking(instance.id):
            guest.get_user(call.ctx, name, host)
        return settling.to_guest(instance.id, [partial(guest.delete_user, name=name, host=host)])


def target(call: Call) -> tuple[Instance, str, str]:
    """Return the instance, and the name and host of the user, that the path names; the user may not be there.

    Raises:
        NotFound: if there is no such instance, or if nobody could be called so.
    """
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


def _new_password(user: NewPassword, guest: GuestClient, *, is_there: bool) -> CofferError | Cast:
    if not is_there:
        return NotFound(resource="User", id=user.name)
    body: dict[str, JSON] = {
        "name": user.name,
        "password": user.password.reveal(),
        "host": user.host or ANY_HOST,
    }
    return partial(guest.change_password, user=body)


def _changes_to_json(changes: UserChanges) -> dict[str, JSON]:
    """Return what is to change as it travels to the guest; what is not to change is absent."""
    password = None if isinstance(changes.password, UnsetType) else changes.password.reveal()
    asked = {"name": changes.name or None, "password": password, "host": changes.host or None}
    return {key: value for key, value in asked.items() if value is not None}


def user_to_json(user: NewUser) -> dict[str, JSON]:
    """Return a user as he travels to the guest: his password is revealed for that only."""
    return {
        "name": user.name,
        "password": user.password.reveal(),
        "host": user.host or ANY_HOST,
        "databases": [{"name": database.name} for database in user.databases],
    }


def _view(user: GuestUser) -> JSON:
    return {"name": user.name, "host": user.host, "databases": named(user.databases)}
