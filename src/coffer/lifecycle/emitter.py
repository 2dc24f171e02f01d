"""Who is speaking: the identity that a service puts into the events it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from coffer.catalogue.operations import ServerType

Clock = Callable[[], datetime]
"""Returns the present as an aware UTC datetime; an argument, so that tests can say what time it is."""


def utcnow() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Emitter:
    """One service of one process.

    `server_ip` is `ip:port` of the service that writes the event (not of the one that took the request; the
    specification asks for the emitter's); port 0 where the service listens on no port of its own.
    `service_id` names this start of this process: a run owned by it is orphaned when it dies.
    """

    server_type: ServerType
    host: str
    server_ip: str
    service_id: str

    @property
    def publisher_id(self) -> str:
        """What Ceilometer shows as the trait `service`: `<server_type>.<host>`."""
        return f"{self.server_type}.{self.host}"
