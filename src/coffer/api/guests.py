"""What guests answer, read with care: an agent beside a tenant's server is a stranger to us."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from coffer.catalogue.errors import (
    BadRequest,
    CofferError,
    DatabaseExists,
    GuestFailed,
    GuestUnreachable,
    InvalidParameter,
    NotFound,
    UserExists,
    WrongState,
)
from coffer.wire.json import JSON

MAY_SAY = (
    *(BadRequest, DatabaseExists, GuestFailed, GuestUnreachable, InvalidParameter),
    *(NotFound, UserExists, WrongState),
)
"""The errors that a guest may answer a tenant with; any other one would be an answer in our name."""


@dataclass(frozen=True, slots=True)
class GuestUser:
    """A user as a guest knows him."""

    name: str
    host: str
    databases: tuple[str, ...]


class _Name(msgspec.Struct):
    name: str


class _User(msgspec.Struct):
    name: str
    host: str
    databases: list[_Name] = []


class _Applied(msgspec.Struct):
    restart_required: bool


class _Credentials(msgspec.Struct):
    name: str
    password: str

    def __repr__(self) -> str:
        return f"_Credentials({self.name!r}, ***)"


@contextmanager
def asking(instance_id: str) -> Iterator[None]:
    """Turn what a guest must not say, and what cannot be read, into a failure of the guest.

    Raises:
        CofferError: one of `MAY_SAY`.
    """
    try:
        yield
    except msgspec.ValidationError:
        raise GuestFailed(
            reason=f"The guest agent of instance {instance_id} gave an answer that cannot be read."
        ) from None
    except MAY_SAY:
        raise
    except CofferError as error:
        raise GuestFailed(reason=f"The guest agent of instance {instance_id} failed.") from error


def names_of(rows: object) -> list[str]:
    """Read `[{"name"}]`.

    Raises:
        msgspec.ValidationError: if it is something else.
    """
    return [row.name for row in msgspec.convert(rows, list[_Name])]


def users_of(rows: object) -> list[GuestUser]:
    """Read `[{"name", "host", "databases": [{"name"}]}]`.

    Raises:
        msgspec.ValidationError: if it is something else.
    """
    return [_user(row) for row in msgspec.convert(rows, list[_User])]


def user_of(row: object) -> GuestUser:
    """Read one user.

    Raises:
        msgspec.ValidationError: if it is something else.
    """
    return _user(msgspec.convert(row, _User))


def credentials_of(row: object) -> tuple[str, str]:
    """Read `{"name", "password"}`.

    Raises:
        msgspec.ValidationError: if it is something else; it does not quote the password.
    """
    read = msgspec.convert(row, _Credentials)
    return read.name, read.password


def restart_required_of(row: object) -> bool:
    """Read `{"restart_required"}`.

    Raises:
        msgspec.ValidationError: if it is something else.
    """
    return msgspec.convert(row, _Applied).restart_required


def named(names: Sequence[str]) -> list[JSON]:
    """Return names as the clients read them."""
    return [{"name": name} for name in names]


def _user(row: _User) -> GuestUser:
    return GuestUser(name=row.name, host=row.host, databases=tuple(each.name for each in row.databases))
