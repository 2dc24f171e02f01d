"""THE TABLE of what the API serves: method, path, handler, the rule that guards it, the operation it begins.

Everything else that the catalogue names or the field's client can call is in `unbuilt`, and answers 501.
"""

from dataclasses import dataclass

from coffer.api import (
    access,
    backups,
    configurations,
    creation,
    databases,
    datastores,
    flavors,
    instances,
    limits,
    management,
    parameters,
    quotas,
    replication,
    resetting,
    resizing,
    root,
    users,
)
from coffer.api.call import Handler
from coffer.api.policy import ADMIN, MEMBER, READER, Guard

PROJECT = "/v1.0/{project_id}"

_INSTANCES = "/instances"
_INSTANCE = "/instances/{instance_id}"
_DATABASES = f"{_INSTANCE}/databases"
_USERS = f"{_INSTANCE}/users"
_USER = f"{_USERS}/{{user}}"
_ACCESS = f"{_USER}/databases"
_MANAGED = "/mgmt/instances/{instance_id}"
_OFFERED = "/mgmt/datastore-versions"
_QUOTAS = "/mgmt/quotas/{quota_project_id}"
_CONFIGURATIONS = "/configurations"
_CONFIGURATION = f"{_CONFIGURATIONS}/{{configuration_id}}"
_VERSIONS = "/datastores/{datastore}/versions"
_VERSION = f"{_VERSIONS}/{{version}}"
_VERSION_ALONE = "/datastores/versions/{version}"


@dataclass(frozen=True, slots=True)
class Route:
    """One call; `path` is below the project, `action` the body's only member where that chooses the call."""

    method: str
    path: str
    handler: Handler
    rule: str
    operation: str | None = None
    action: str | None = None
    """`resize.volume` is a member `volume` in the object `resize`."""
    also: tuple[str, ...] = ()
    """Further operations, among which the handler chooses by the body."""
    from_memory: bool = False
    """Whether it is answered from what this process has in memory: it asks no database, cloud, broker or guest."""
    needs: str | None = None
    """Who may call it; None: a member of the project, or to look at something a reader."""


ROUTES = (
    Route("GET", "/flavors", flavors.index, "flavor:index"),
    Route("GET", "/flavors/{flavor_id}", flavors.show, "flavor:show"),
    Route("GET", "/datastores", datastores.index, "datastore:index", from_memory=True),
    Route("GET", "/datastores/{datastore}", datastores.show, "datastore:show", from_memory=True),
    Route(
        "GET",
        "/datastores/versions/{version}",
        datastores.version_by_id,
        "datastore:version_show_by_uuid",
        from_memory=True,
    ),
    Route("GET", _VERSIONS, datastores.versions, "datastore:version_index", from_memory=True),
    Route("GET", _VERSION, datastores.version, "datastore:version_show", from_memory=True),
    Route("GET", f"{_VERSION}/flavors", datastores.version_flavors, "datastore:list_associated_flavors"),
    Route(
        "GET",
        f"{_VERSION}/volume-types",
        datastores.version_volume_types,
        "datastore:list_associated_volume_types",
    ),
    Route("GET", f"{_VERSION}/parameters", parameters.index, "configuration-parameter:index"),
    Route("GET", f"{_VERSION}/parameters/{{parameter}}", parameters.show, "configuration-parameter:show"),
    Route(
        "GET",
        f"{_VERSION_ALONE}/parameters",
        parameters.index,
        "configuration-parameter:index_by_version",
    ),
    Route(
        "GET",
        f"{_VERSION_ALONE}/parameters/{{parameter}}",
        parameters.show,
        "configuration-parameter:show_by_version",
    ),
    Route("GET", _CONFIGURATIONS, configurations.index, "configuration:index"),
    Route("POST", _CONFIGURATIONS, configurations.create, "configuration:create", "configuration_create"),
    Route("GET", _CONFIGURATION, configurations.show, "configuration:show"),
    Route("PUT", _CONFIGURATION, configurations.update, "configuration:update", "configuration_update"),
    Route("PATCH", _CONFIGURATION, configurations.edit, "configuration:edit", "configuration_edit"),
    Route("DELETE", _CONFIGURATION, configurations.delete, "configuration:delete", "configuration_delete"),
    Route("GET", f"{_CONFIGURATION}/instances", configurations.instances, "configuration:instances"),
    Route("GET", "/limits", limits.index, "limits:index"),
    Route("GET", _QUOTAS, quotas.show, "quota:show"),
    Route("PUT", _QUOTAS, quotas.update, "quota:update", needs=ADMIN),
    Route("GET", _INSTANCES, instances.index, "instance:index"),
    Route("GET", f"{_INSTANCES}/detail", instances.index_detailed, "instance:detail"),
    Route("GET", _INSTANCE, instances.show, "instance:show"),
    Route("POST", _INSTANCES, creation.create, "instance:create", "instance_create"),
    Route("GET", f"{_INSTANCE}/configuration", instances.default_configuration, "instance:configuration"),
    Route(
        "PUT",
        _INSTANCE,
        instances.update,
        "instance:update",
        also=("instance_attach_configuration", "instance_detach_configuration", "instance_detach"),
    ),
    Route("PATCH", _INSTANCE, instances.update, "instance:edit"),
    Route(
        "POST", f"{_INSTANCE}/action", instances.restart, "instance:restart", "instance_restart", "restart"
    ),
    Route(
        "POST",
        f"{_INSTANCE}/action",
        resizing.flavor,
        "instance:resize_flavor",
        "instance_resize_instance",
        "resize.flavorRef",
    ),
    Route(
        "POST",
        f"{_INSTANCE}/action",
        resizing.volume,
        "instance:resize_volume",
        "instance_resize_volume",
        "resize.volume",
    ),
    Route(
        "POST",
        f"{_INSTANCE}/action",
        replication.promote,
        "instance:promote_to_replica_source",
        "instance_promote",
        "promote_to_replica_source",
    ),
    Route(
        "POST",
        f"{_INSTANCE}/action",
        replication.eject,
        "instance:eject_replica_source",
        "instance_eject",
        "eject_replica_source",
    ),
    Route(
        "POST",
        f"{_INSTANCE}/action",
        resetting.reset_status,
        "instance:reset_status",
        action="reset_status",
    ),
    Route("DELETE", _INSTANCE, instances.delete, "instance:delete", "instance_delete"),
    Route("GET", _OFFERED, datastores.all_versions, "mgmt:datastore_version:index", needs=ADMIN),
    Route(
        "GET", f"{_OFFERED}/{{version}}", datastores.any_version, "mgmt:datastore_version:show", needs=ADMIN
    ),
    Route("GET", "/mgmt/instances", management.index, "mgmt:instance:index", needs=ADMIN),
    Route("GET", _MANAGED, management.show, "mgmt:instance:show", needs=ADMIN),
    Route("POST", f"{_MANAGED}/action", management.stop, "mgmt:instance:stop", action="stop", needs=ADMIN),
    Route(
        "POST",
        f"{_MANAGED}/action",
        management.reboot,
        "mgmt:instance:reboot",
        action="reboot",
        needs=ADMIN,
    ),
    Route(
        "POST",
        f"{_MANAGED}/action",
        management.reset_task_status,
        "mgmt:instance:reset_task_status",
        action="reset-task-status",
        needs=ADMIN,
    ),
    Route("GET", f"{_INSTANCE}/backups", backups.of_instance, "instance:backups"),
    Route("GET", "/backups", backups.index, "backup:index"),
    Route("GET", "/backups/{backup_id}", backups.show, "backup:show"),
    Route("POST", "/backups", backups.create, "backup:create", "backup_create"),
    Route("DELETE", "/backups/{backup_id}", backups.delete, "backup:delete", "backup_delete"),
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
    Route(
        "PUT", _USERS, users.change_passwords, "instance:extension:user:update_all", "user_change_password"
    ),
    Route("PUT", _USER, users.update, "instance:extension:user:update", "user_update_attributes"),
    Route("GET", _ACCESS, access.index, "instance:extension:user_access:index"),
    Route("PUT", _ACCESS, access.grant, "instance:extension:user_access:update", "user_grant"),
    Route(
        "DELETE",
        f"{_ACCESS}/{{database}}",
        access.revoke,
        "instance:extension:user_access:delete",
        "user_revoke",
    ),
    Route("GET", f"{_INSTANCE}/root", root.show, "instance:extension:root:index"),
    Route("POST", f"{_INSTANCE}/root", root.enable, "instance:extension:root:create"),
    Route("DELETE", f"{_INSTANCE}/root", root.disable, "instance:extension:root:delete"),
)


def guards() -> list[Guard]:
    """Return the rules of the table: who looks needs to be a reader, who changes a member of the project."""
    return [
        Guard(
            name=route.rule,
            check=f"rule:{route.needs or (READER if route.method == 'GET' else MEMBER)}",
            description=(route.handler.__doc__ or route.rule).splitlines()[0],
            calls=((route.method, PROJECT + route.path + (f" ({route.action})" if route.action else "")),),
        )
        for route in ROUTES
    ]
