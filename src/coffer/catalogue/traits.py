"""What a trait is: a named, typed fact in the payload of an event."""

from dataclasses import dataclass
from enum import StrEnum


class TraitType(StrEnum):
    """The four types that Ceilometer's definitions know (`string` or `integer` would not load)."""

    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Trait:
    """One named fact.

    `required` says that the fact is in every event of its type; the others are there when they are known
    ("if specified", in the specification's words). `unit` is the unit of a number, in the spelling of the
    UCUM where it has one (`GiB`, `MiB`, `s`). `secret` marks what must never leave the process; a secret
    trait cannot be declared in an event, and the catalogue's self-check says so. `payload_key` is set where
    the payload calls the fact otherwise (`resource_id` is `payload.instance_id`).
    """

    name: str
    type: TraitType
    description: str
    unit: str | None = None
    required: bool = True
    secret: bool = False
    payload_key: str | None = None

    @property
    def field(self) -> str:
        """The key of the payload that holds the fact."""
        return self.payload_key or self.name
