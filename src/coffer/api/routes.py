"""THE TABLE of what the API serves: method, path, handler, the rule that guards it, the operation it begins.

Everything else that the catalogue names or the field's client can call is in `unbuilt`, and answers 501.
"""

from dataclasses import dataclass

from coffer.api import creation, databases, datastores, flavors, instances, limits, root, users
from coffer.api.call import Handler
from coffer.api.policy import MEMBER, READER, Guard

PROJECT = "/v1.0/{project_id}"

_INSTANCES = "/instances"
_INSTANCE = "/instances/{instance_id}"
_DATABASES = f"{_INSTANCE}/databases"
_USERS = f"{_INSTANCE}/users"
_USER = f"{_USERS}/{{user}}"
_VERSIONS = "/datastores/{datastore}/versions"
_VERSION = f"{_VERSIONS}/{{version}}"


@dataclass(frozen=True, slots=True)
class Route:
    """One call; `path` is below the project, `action` the body's only member where that chooses the call."""

    method: str
    path: str
    handler: Handler
    rule: str
    operation: str | None = None
    action: str | None = None


ROUTES = (
    Route("GET", "/flavors", flavors.index, "flavor:index"),
    Route("GET", "/flavors/{flavor_id}", flavors.show, "flavor:show"),
    Route("GET", "/datastores", datastores.index, "datastore:index"),
    Route("GET", "/datastores/{datastore}", datastores.show, "datastore:show"),
    Route(
        "GET", "/datastores/versions/{version}", datastores.version_by_id, "datastore:version_show_by_uuid"
    ),
    Route("GET", _VERSIONS, datastores.versions, "datastore:version_index"),
    Route("GET", _VERSION, datastores.version, "datastore:version_show"),
    Route("GET", f"{_VERSION}/flavors", datastores.version_flavors, "datastore:list_associated_flavors"),
    Route(
        "GET",
        f"{_VERSION}/volume-types",
        datastores.version_volume_types,
        "datastore:list_associated_volume_types",
    ),
    Route("GET", "/limits", limits.index, "limits:index"),
    Route("GET", _INSTANCES, instances.index, "instance:index"),
    Route("GET", f"{_INSTANCES}/detail", instances.index_detailed, "instance:detail"),
    Route("GET", _INSTANCE, instances.show, "instance:show"),
    Route("POST", _INSTANCES, creation.create, "instance:create", "instance_create"),
    Route("PUT", _INSTANCE, instances.update, "instance:update"),
    Route("PATCH", _INSTANCE, instances.update, "instance:edit"),
    Route(
        "POST", f"{_INSTANCE}/action", instances.restart, "instance:restart", "instance_restart", "restart"
    ),
    Route("DELETE", _INSTANCE, instances.delete, "instance:delete", "instance_delete"),
    Route("GET", _DATABASES, databases.index, "instance:extension:database:index"),
    Route("POST", _DATABASES, databases.create, "instance:extension:database:create", "database_create"),
    Route(
        "DELETE",
        f"{_DATABASES}/{{dbname}}",
        databases.delete,
        "instance:extension:database:delete",
        "database_delete",
    ),
    Route("GET", _USERS, users.index, "instance:extension:user:index"),
    Route("POST", _USERS, users.create, "instance:extension:user:create", "user_create"),
    Route("GET", _USER, users.show, "instance:extension:user:show"),
    Route("DELETE", _USER, users.delete, "instance:extension:user:delete", "user_delete"),
    Route("GET", f"{_USER}/databases", users.access, "instance:extension:user_access:index"),
    Route("GET", f"{_INSTANCE}/root", root.show, "instance:extension:root:index"),
    Route("POST", f"{_INSTANCE}/root", root.enable, "instance:extension:root:create"),
)


def guards() -> list[Guard]:
    """Return the rules of the table: who looks needs to be a reader, who changes a member of the project."""
    return [
        Guard(
            name=route.rule,
            check=f"rule:{READER if route.method == 'GET' else MEMBER}",
            description=(route.handler.__doc__ or route.rule).splitlines()[0],
            calls=((route.method, PROJECT + route.path),),
        )
        for route in ROUTES
    ]
