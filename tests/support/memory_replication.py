"""Replication between servers that are dictionaries: what a replica has is what its source had when they last met."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.states import ServiceStatus
from coffer.datastores.driver import Place, Replication, Role, Source, UserSpec


@dataclass
class Standing:
    """How a server stands to others."""

    admitted: dict[str, str] = field(default_factory=dict)
    """The passwords of its replicas, by their instance ids."""
    follows: Source | None = None
    lsn: int = 1
    """The end of the log; a test that writes makes it greater."""


class Server(Protocol):
    """What of a server matters here."""

    databases: list[str]
    users: dict[str, UserSpec]
    status: ServiceStatus
    is_prepared: bool
    standing: Standing


PLACES: dict[tuple[str, int], Server] = {}
"""The servers by address and port: how one finds another."""


class MemoryReplication:
    """The part of a `Driver` about replication."""

    _server: Any
    """The driver says what it is: more than a `Server`."""
    _place: Place
    _do: Callable[[str], None]
    _require_running: Callable[[], None]

    def admit_replica(self, replica_id: str) -> Source:
        self._do("admit_replica")
        self._require_running()
        standing: Standing = self._server.standing
        if standing.follows is not None:
            raise GuestFailed(reason="A replica has no replicas.")
        standing.admitted[replica_id] = secrets.token_hex(8)
        return Source(
            address=self._place.address,
            port=self._place.port,
            user=f"os_replica_{replica_id[:8]}",
            password=standing.admitted[replica_id],
            slot=f"replica_{replica_id[:8]}",
            administrator_password="the administrator's",
        )

    def dismiss_replica(self, replica_id: str) -> None:
        self._do("dismiss_replica")
        self._server.standing.admitted.pop(replica_id, None)

    def replicate(self, source: Source, *, is_given_up: Callable[[], bool]) -> None:
        del is_given_up
        self._do("replicate")
        self._stream_from(source)

    def follow(self, source: Source) -> None:
        self._do("follow")
        self._stream_from(source)

    def demote(self) -> int:
        self._do("demote")
        self._server.status = ServiceStatus.SHUTDOWN
        lsn: int = self._server.standing.lsn
        return lsn

    def promote(self, lsn: int | None) -> None:
        self._do("promote")
        self._require_running()
        self._receive()
        if self._server.standing.lsn < (lsn or 0):
            raise GuestFailed(reason="The replica has not received everything.")
        self._server.standing.follows = None

    def detach(self) -> None:
        self._do("detach")
        self._require_running()
        self._server.standing.follows = None

    def replication(self) -> Replication:
        self._require_running()
        standing = self._server.standing
        role = Role.SOURCE if standing.follows is None else Role.REPLICA
        admitted = tuple(sorted(standing.admitted)) if role is Role.SOURCE else ()
        return Replication(role=role, lsn=standing.lsn, is_streaming=self._is_streaming(), admitted=admitted)

    def _stream_from(self, source: Source) -> None:
        self._server.standing.follows = source
        if not self._is_streaming():
            raise GuestFailed(reason="The source does not let the replica in.")
        self._receive()
        self._server.status = ServiceStatus.HEALTHY
        self._server.is_prepared = True

    def _is_streaming(self) -> bool:
        source = self._source()
        return source is not None and source.status is ServiceStatus.HEALTHY

    def _source(self) -> Server | None:
        """Return the server that this one follows, if it lets it in."""
        follows = self._server.standing.follows
        source = None if follows is None else PLACES.get((follows.address, follows.port))
        if follows is None or source is None or follows.password not in source.standing.admitted.values():
            return None
        return source

    def _receive(self) -> None:
        source = self._source()
        if source is not None:
            self._server.databases, self._server.users = list(source.databases), dict(source.users)
            self._server.standing.lsn = source.standing.lsn
