"""What a guest agent tells the conductor."""

from collections.abc import Mapping

from coffer.wire.context import TroveContext
from coffer.wire.contracts import CONDUCTOR
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcTransport


class ConductorClient:
    """What a guest agent may tell the control plane; all are casts, and may raise DispatchFailed.

    The run that a report is about is in the context's `notification`.
    """

    def __init__(self, transport: RpcTransport, *, pin: str | None = None) -> None:
        """Send through `transport`; no conductor is older than the version `pin`."""
        self._rpc = CONDUCTOR.client(transport, pin=pin)

    def heartbeat(
        self,
        ctx: TroveContext,
        instance_id: str,
        status: str,
        sent_at: str,
        *,
        volume_used_bytes: int | None = None,
    ) -> None:
        """Say that the guest lives and how its server is; `sent_at` is ISO 8601 with zone."""
        self._rpc.cast(
            ctx,
            "heartbeat",
            instance_id=instance_id,
            status=status,
            sent_at=sent_at,
            volume_used_bytes=volume_used_bytes,
        )

    def notify_end(self, ctx: TroveContext, instance_id: str, traits: Mapping[str, JSON]) -> None:
        """Say that the run ended well."""
        self._rpc.cast(ctx, "notify_end", instance_id=instance_id, traits=dict(traits))

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """Say that the run failed.

        `etype` is an error code of the catalogue with `value` = `{"data", "message"}`, or else the name of
        the exception's class.
        """
        self._rpc.cast(
            ctx, "notify_exc_info", instance_id=instance_id, etype=etype, value=dict(value), trace=trace
        )
