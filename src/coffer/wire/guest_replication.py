"""What a guest agent does about replication: on the source, on its replicas, and when they change places."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from coffer.wire.context import TroveContext
from coffer.wire.guest_calls import GuestCalls, as_row
from coffer.wire.json import JSON

Source = Mapping[str, JSON]
"""`{"address", "port", "user", "password", "slot", "administrator_password"}`: where a replica gets its data from.

Two of them are secrets: it goes from guest to guest, and is neither kept nor logged on the way.
"""


class GuestReplication(GuestCalls):
    """Replication of one instance.

    The calls change nothing when they reach a guest only after their caller has stopped waiting. They raise, besides
    what is said: GuestFailed, with a reason; GuestUnreachable, and then what was asked for may have been done.
    """

    def admit_replica(self, ctx: TroveContext, replica_id: str) -> dict[str, JSON]:
        """On the source: make a role and a place in the log for a replica; return what it needs, a `Source`.

        May be repeated: the last answer counts, for each has a new password. A running stream goes on.
        """
        return as_row(self._within(ctx, "admit_replica", 2 * self._timeout_s, replica_id=replica_id))

    def dismiss_replica(self, ctx: TroveContext, replica_id: str) -> None:
        """On the source: end the stream to a replica, and forget it; idempotent."""
        self._within(ctx, "dismiss_replica", 2 * self._timeout_s, replica_id=replica_id)

    def replicate(
        self, ctx: TroveContext, source: Source, *, configuration: Mapping[str, str] | None = None
    ) -> None:
        """Make the database server of a new instance as a replica of `source`; a cast like `prepare`.

        It is done when the replica has all data and streams.
        """
        self.declare()
        self._rpc.cast(ctx, "replicate", source=dict(source), configuration=dict(configuration or {}))

    def follow(self, ctx: TroveContext, source: Source) -> None:
        """Stream from `source` from now on, whatever the server was before; returns when it does. Idempotent.

        A running replica does so without a restart; a stopped source becomes a replica. Data that the source does
        not have are lost.
        """
        self._within(ctx, "follow", self._restart_timeout_s, source=dict(source))

    def demote(self, ctx: TroveContext) -> int:
        """On the source: stop the server after its replicas were sent everything; return the log's end. Idempotent.

        It stays down; `restart` makes it the source that it was. GuestFailed where it did not end cleanly: it is down
        all the same.
        """
        found = as_row(self._within(ctx, "demote", self._restart_timeout_s)).get("lsn")
        return found if isinstance(found, int) else 0

    def promote(self, ctx: TroveContext, lsn: int | None = None) -> None:
        """On a replica: wait for everything up to `lsn`, and become a source. Idempotent: a source stays one.

        Replicas that were admitted before are forgotten.
        """
        self._within(ctx, "promote", self._restart_timeout_s, lsn=lsn)

    def detach(self, ctx: TroveContext) -> None:
        """On a replica: become a source at once, with an administrator's password of its own. Idempotent."""
        self._within(ctx, "detach", self._restart_timeout_s)

    def replication(self, ctx: TroveContext) -> dict[str, JSON]:
        """Return `{"role": "source" | "replica", "lsn", "is_streaming", "admitted"}`, whether or not its source lives.

        `lsn` is a number, the end of the log that it has: of two replicas of a source the greater one has more.
        `admitted` are the ids of the replicas that a source keeps a place for; agents of before do not say it.
        """
        return as_row(self._call(ctx, "replication"))

    def _within(self, ctx: TroveContext, method: str, limit_s: float, /, **args: JSON) -> JSON:
        until = (datetime.now(UTC) + timedelta(seconds=limit_s)).isoformat()
        return self._call(ctx, method, timeout_s=limit_s, until=until, **args)
