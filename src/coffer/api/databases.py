"""Databases of an instance."""

from functools import partial

from coffer.api.bodies import Databases, NewDatabase
from coffer.api.call import Answer, Call
from coffer.api.guests import asking, named, names_of
from coffer.api.names import check_databases
from coffer.api.paging import slice_after
from coffer.api.rules import rules_of
from coffer.api.settling import Cast, begin
from coffer.api.states import require_usable
from coffer.api.validation import require_count
from coffer.catalogue.errors import CofferError, DatabaseExists, NotFound
from coffer.store.instances import Instance
from coffer.wire.guest_client import GuestClient
from coffer.wire.json import JSON


def index(call: Call) -> Answer:
    """List the databases, a page at a time."""
    request = call.page()
    instance = call.instance()
    require_usable(instance, "listing databases")
    page = slice_after(_present(call, instance), request, marker_of=str)
    body: dict[str, JSON] = {"databases": named(page.items)}
    return Answer(200, call.paged(body, request, page.next_marker))


def create(call: Call) -> Answer:
    """Create databases, a run each; 202 if at least one is under way, else the first one's error."""
    databases = call.read(Databases).databases
    require_count(databases, "databases")
    instance = call.instance()
    check_databases(databases, rules_of(call, instance), "databases")
    items = [{"dbname": database.name} for database in databases]
    with begin(call, "database_create", instance, items) as settling:
        present = set(_present(call, instance))
        guest = call.services.guest(instance.id)
        return settling.to_guest(instance.id, [_creation(database, present, guest) for database in databases])


def delete(call: Call) -> Answer:
    """Delete a database."""
    name = call.params["dbname"]
    instance = call.instance()
    if rules_of(call, instance).database_name(name):
        raise NotFound(resource="Database", id=name)  # nothing can be called so; and no event shall quote it
    items = [{"dbname": name}]
    with begin(call, "database_delete", instance, items) as settling:
        if name not in _present(call, instance):
            raise NotFound(resource="Database", id=name)
        guest = call.services.guest(instance.id)
        return settling.to_guest(instance.id, [partial(guest.delete_database, name=name)])


def _present(call: Call, instance: Instance) -> list[str]:
    with asking(instance.id):
        return names_of(call.services.guest(instance.id).list_databases(call.ctx))


def _creation(database: NewDatabase, present: set[str], guest: GuestClient) -> CofferError | Cast:
    if database.name in present:
        return DatabaseExists(name=database.name)
    return partial(guest.create_database, database=database_to_json(database))


def database_to_json(database: NewDatabase) -> dict[str, JSON]:
    """Return a database as it travels to the guest; what was not asked for is absent."""
    asked = {"name": database.name, "character_set": database.character_set, "collate": database.collate}
    return {key: value for key, value in asked.items() if value is not None}
