"""Operations on the users of an instance. Source: ceilometer-integration spec, dbaas.user_*.

Passwords take part in some of these calls and in none of their events.
"""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import text
from coffer.catalogue.states import SERVING, Move

_COLLECTION = "/v1.0/{project_id}/instances/{instance_id}/users"
_ONE = f"{_COLLECTION}/{{user}}"
_DEADLINE_S = 120

CREATE = Operation(
    name="user_create",
    sentence="Create a database user; a call that names several is one run each.",
    rest=f"POST {_COLLECTION}",
    python_api="users.create(instance, users)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance to create the user in."),
        text("username", "User to create."),
    ),
    move=Move(allowed=SERVING),
    item_trait="username",
    built=True,
)

DELETE = Operation(
    name="user_delete",
    sentence="Delete a database user.",
    rest=f"DELETE {_ONE}",
    python_api="users.delete(instance, username, hostname)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance to delete the user from."),
        text("username", "User to delete."),
    ),
    move=Move(allowed=SERVING),
    built=True,
)

UPDATE_ATTRIBUTES = Operation(
    name="user_update_attributes",
    sentence="Change the name, the password or the host of a database user.",
    rest=f"PUT {_ONE}",
    python_api="users.update_attributes(instance, username, newuserattr, hostname)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance that the user belongs to."),
        text("username", "User to change, by the name before the change."),
    ),
    move=Move(allowed=SERVING),
    built=True,
)

GRANT = Operation(
    name="user_grant",
    sentence="Let a user into a database; a call that names several databases is one run each.",
    rest=f"PUT {_ONE}/databases",
    python_api="users.grant(instance, username, databases, hostname)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance that the user belongs to."),
        text("username", "User to let in."),
        text("database", "Database to let the user into."),
    ),
    move=Move(allowed=SERVING),
    item_trait="database",
    built=True,
)

REVOKE = Operation(
    name="user_revoke",
    sentence="Keep a user out of a database.",
    rest=f"DELETE {_ONE}/databases/{{database}}",
    python_api="users.revoke(instance, username, database, hostname)",
    ended_by=ServerType.API,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance that the user belongs to."),
        text("username", "User to keep out."),
        text("database", "Database to keep the user out of."),
    ),
    move=Move(allowed=SERVING),
    built=True,
)

CHANGE_PASSWORD = Operation(
    name="user_change_password",
    sentence="Give a user a new password; a call that names several users is one run each.",
    rest=f"PUT {_COLLECTION}",
    python_api="users.change_passwords(instance, users)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=_DEADLINE_S,
    subject="instance",
    start=(
        text("instance_id", "Instance that the user belongs to."),
        text("username", "User whose password changes."),
    ),
    move=Move(allowed=SERVING),
    item_trait="username",
    built=True,
)

ROWS = (CREATE, DELETE, UPDATE_ATTRIBUTES, GRANT, REVOKE, CHANGE_PASSWORD)
