"""Column types that mean the same on every database."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

_MYSQL = ("mysql", "mariadb")

RowNumber = BigInteger().with_variant(Integer(), "sqlite")
"""A key that the database counts up; SQLite does that for `INTEGER` only."""

Envelope = LargeBinary().with_variant(mysql.LONGBLOB(), *_MYSQL)
"""Finished bytes of a message; MariaDB's BLOB would end at 64 KiB."""

LongText = Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
"""Text of any length; MariaDB's TEXT would end at 64 KiB."""


def in_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC.

    Raises:
        ValueError: if it is naive; which moment it means would be a guess.
    """
    if moment.utcoffset() is None:
        raise ValueError("a naive datetime cannot be stored")
    return moment.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, kept to the microsecond, ordered alike everywhere.

    PostgreSQL has a type for it. MariaDB gets UTC in a type without a zone, SQLite as text of fixed width, so
    that its order is that of time.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """Choose the database's own type."""
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn `value` into UTC.

        Raises:
            ValueError: if it is naive; which moment it means would be a guess.
        """
        if value is None:
            return None
        moment = in_utc(value)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Word(TypeDecorator[str]):
    """A short text that may be a member of a StrEnum; drivers have ideas of their own about enums."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Give the driver a plain `str`."""
        return None if value is None else str(value)
