"""Which databases of an instance a user may work in. The guest is waited for, so the API ends these runs."""

from functools import partial

from coffer.api.bodies import Grants
from coffer.api.call import Answer, Call
from coffer.api.guests import asking, named, names_of
from coffer.api.rules import rules_of
from coffer.api.settling import Cast, begin
from coffer.api.states import require_usable
from coffer.api.users import target
from coffer.api.validation import no_duplicates, require, require_count
from coffer.catalogue.errors import NotFound
from coffer.wire.context import TroveContext


def index(call: Call) -> Answer:
    """List the databases that a user may use."""
    instance, name, host = target(call)
    require_usable(instance, "showing a user's access")
    with asking(instance.id):
        databases = names_of(call.services.guest(instance.id).list_access(call.ctx, name, host))
    return Answer(200, {"databases": named(databases)})


def grant(call: Call) -> Answer:
    """Let a user into databases, a run each; 202 if he was let into one at least, else the first one's error."""
    databases = [database.name for database in call.read(Grants).databases]
    require_count(databases, "databases")
    instance, name, host = target(call)
    rules = rules_of(call, instance)
    for position, database in enumerate(databases):
        require(rules.database_name(database), f"databases[{position}].name")
    no_duplicates(databases, "database")
    items = [{"username": name, "database": database} for database in databases]
    with begin(call, "user_grant", instance, items) as settling:
        guest = call.services.guest(instance.id)
        grants = [partial(guest.grant_access, name=name, host=host, database=each) for each in databases]
        return settling.in_turn([_asked(instance.id, each) for each in grants])


def revoke(call: Call) -> Answer:
    """Keep a user out of a database."""
    instance, name, host = target(call)
    database = call.params["database"]
    if rules_of(call, instance).database_name(database):
        raise NotFound(
            resource="Database", id=database
        )  # nothing can be called so; and no event shall quote it
    items = [{"username": name, "database": database}]
    with begin(call, "user_revoke", instance, items) as settling:
        guest = call.services.guest(instance.id)
        job = partial(guest.revoke_access, name=name, host=host, database=database)
        return settling.in_turn([_asked(instance.id, job)])


def _asked(instance_id: str, job: Cast) -> Cast:
    """Return a job whose failures are such as a guest may tell."""

    def ask(ctx: TroveContext) -> None:
        with asking(instance_id):
            job(ctx)

    return ask
