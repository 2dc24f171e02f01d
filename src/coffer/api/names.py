"""Which names a database or a user may have: the engine's rules, and those that the way to it adds. Pure.

A name that was accepted can be shown, deleted and counted again: it must fit into a URL as the field's client
makes it, and into the comma-separated lists of an announcement.
"""

from collections.abc import Sequence
from urllib.parse import unquote

from msgspec import UNSET, UnsetType

from coffer.api.bodies import NewDatabase, NewPassword, NewUser, UserChanges
from coffer.api.secret import Secret
from coffer.api.validation import no_duplicates, require
from coffer.catalogue.errors import BadRequest
from coffer.datastores.datastore import Rules
from coffer.datastores.driver import ANY_HOST

HOST_LIMIT = 255


def check_databases(databases: Sequence[NewDatabase], rules: Rules, where: str) -> None:
    """Check the databases of a call; `where` is the path of their list in the body.

    Raises:
        BadRequest: naming the field.
    """
    for position, database in enumerate(databases):
        here = f"{where}[{position}]"
        require(rules.database_name(database.name) or database_url_problem(database.name), f"{here}.name")
        if database.character_set is not None:
            require(rules.character_set(database.character_set), f"{here}.character_set")
        if database.collate is not None:
            require(rules.collate(database.collate), f"{here}.collate")
    no_duplicates((database.name for database in databases), "database")


def check_users(users: Sequence[NewUser], rules: Rules, where: str) -> None:
    """Check the users of a call; `where` is the path of their list in the body.

    Raises:
        BadRequest: naming the field; never with a password.
    """
    for position, user in enumerate(users):
        here = f"{where}[{position}]"
        require(rules.user_name(user.name) or user_url_problem(user.name), f"{here}.name")
        require(_password_problem(user.password, rules), f"{here}.password")
        require(_host_problem(user.host, rules), f"{here}.host")
        for index, database in enumerate(user.databases):
            require(rules.database_name(database.name), f"{here}.databases[{index}].name")
        no_duplicates((database.name for database in user.databases), f"database of user {user.name}")
    no_duplicates((identity(user.name, user.host, rules) for user in users), "user")


def check_passwords(users: Sequence[NewPassword], rules: Rules, where: str) -> None:
    """Check the users of a call that gives passwords.

    Raises:
        BadRequest: naming the field; never with a password.
    """
    for position, user in enumerate(users):
        here = f"{where}[{position}]"
        require(rules.user_name(user.name), f"{here}.name")
        require(_password_problem(user.password, rules), f"{here}.password")
        require(_host_problem(user.host, rules), f"{here}.host")
    no_duplicates((identity(user.name, user.host, rules) for user in users), "user")


def check_user_changes(changes: UserChanges, rules: Rules, where: str) -> None:
    """Check what is to change of a user.

    Raises:
        BadRequest: naming the field; never with a password.
    """
    if changes.name is UNSET and changes.password is UNSET and changes.host is UNSET:
        raise BadRequest(reason=f"{where}: needs a name, a password or a host to change.")
    if not isinstance(changes.name, UnsetType):
        require(rules.user_name(changes.name) or user_url_problem(changes.name), f"{where}.name")
    if not isinstance(changes.password, UnsetType):
        require(_password_problem(changes.password, rules), f"{where}.password")
    if not isinstance(changes.host, UnsetType):
        require(_host_problem(changes.host, rules), f"{where}.host")


def check_password(password: Secret, rules: Rules, where: str) -> None:
    """Check a password.

    Raises:
        BadRequest: naming the field, not the password.
    """
    require(_password_problem(password, rules), where)


def identity(name: str, host: str | None, rules: Rules) -> str:
    """Return what tells two users of a server apart."""
    return f"{name}@{host or ANY_HOST}" if rules.has_user_hosts else name


def user_of_path(text: str, rules: Rules) -> tuple[str, str]:
    """Take `name@host` of a path apart, at the last @; no host means every host.

    Where users have no hosts, what follows the @ is part of the name, unless it says every host.
    """
    name, at, host = text.rpartition("@")
    if not at:
        return text, ANY_HOST
    if rules.has_user_hosts or host in {"", ANY_HOST}:
        return name, host or ANY_HOST
    return text, ANY_HOST


def database_url_problem(name: str) -> str | None:
    """Say why the field's client could not name this database in a URL, where it writes names unquoted."""
    if name in {".", ".."}:
        return "is a step in a path"
    for char in "/?#,":
        if char in name:
            return f"holds the character {char}"
    return (
        "holds a percent sign and two digits, which a URL reads as one character"
        if unquote(name) != name
        else None
    )


def user_url_problem(name: str) -> str | None:
    """Say why this user could not be named in a URL (the client quotes all but the slash) or in a list."""
    for char in "/,":
        if char in name:
            return f"holds the character {char}"
    return None


def _password_problem(password: Secret, rules: Rules) -> str | None:
    return rules.password(password.reveal())


def _host_problem(host: str | None, rules: Rules) -> str | None:
    if host is None or host == ANY_HOST:
        return None
    if not rules.has_user_hosts:
        return f"must be {ANY_HOST} or absent: users of this datastore have no hosts"
    if not host or len(host) > HOST_LIMIT or not host.isprintable() or "/" in host or "@" in host:
        return "is no host"
    return None
