"""What a guest agent tells the conductor."""

from collections.abc import Mapping

from coffer.catalogue.errors import CofferError, DispatchFailed
from coffer.wire.channel import Channel
from coffer.wire.context import TroveContext
from coffer.wire.contracts import CONDUCTOR
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcTimeout

ANSWER_TIMEOUT_S = 5.0


class ReportNotTakenError(Exception):
    """The conductor is there, but could not write what it was told."""


class ConductorClient:
    """What a guest agent may tell the control plane. All of it may raise DispatchFailed, and can be said again.

    A report returns when the control plane has it for good, and may raise ReportNotTakenError besides; the run that it
    is about is in the context's `notification`. A sign of life is a cast.
    """

    def __init__(
        self, channel: Channel, *, pin: str | None = None, answer_timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        """Send through `channel`; no conductor is older than the version `pin`.

        A report that is not answered in time may have been heard.
        """
        self._rpc = CONDUCTOR.client(channel, pin=pin)
        self._answer_timeout_s = answer_timeout_s

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
        self._report(ctx, "notify_end", instance_id=instance_id, traits=dict(traits))

    def notify_exc_info(
        self, ctx: TroveContext, instance_id: str, etype: str, value: Mapping[str, JSON], trace: str
    ) -> None:
        """Say that the run failed.

        `etype` is an error code of the catalogue with `value` = `{"data", "message"}`, or else the name of
        the exception's class.
        """
        self._report(
            ctx, "notify_exc_info", instance_id=instance_id, etype=etype, value=dict(value), trace=trace
        )

    def _report(self, ctx: TroveContext, method: str, /, **args: JSON) -> None:
        try:
            self._rpc.call(ctx, method, timeout_s=self._answer_timeout_s, **args)
        except RpcTimeout as error:
            raise DispatchFailed(service="conductor") from error
        except DispatchFailed:
            raise
        except CofferError as error:
            # Whatever kept it from being written: it is not, so it has to be said again.
            raise ReportNotTakenError(error.code) from error
