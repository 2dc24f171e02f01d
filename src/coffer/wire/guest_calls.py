"""How the guest agent of one instance is spoken to: what every part of its client stands on."""

from datetime import UTC, datetime, timedelta

from coffer.catalogue.errors import (
    BackupDamaged,
    BadRequest,
    CofferError,
    DatabaseExists,
    DispatchFailed,
    GuestFailed,
    GuestUnreachable,
    InvalidParameter,
    NotBuilt,
    NotFound,
    PeerTooOld,
    StorageFailed,
    UserExists,
    WrongState,
)
from coffer.wire.channel import GuestsChannel
from coffer.wire.context import TroveContext
from coffer.wire.contracts import GUEST_SERVER, guest_contract
from coffer.wire.delivery import NotDeliveredError
from coffer.wire.json import JSON
from coffer.wire.rpc import RpcTimeout

_MAY_ANSWER = (
    *(BackupDamaged, BadRequest, DatabaseExists, GuestFailed, InvalidParameter, NotBuilt),
    *(NotFound, StorageFailed, UserExists, WrongState),
)
"""The errors that a guest may answer with; any other one would end a run in the control plane's name."""


class GuestCalls:
    """Casts and calls to the guest agent of one instance.

    The casts raise DispatchFailed; the calls raise GuestUnreachable, or what the guest raised.
    """

    def __init__(
        self,
        transport: GuestsChannel,
        instance_id: str,
        *,
        timeout_s: float = 15.0,
        restart_timeout_s: float = 180.0,
        pin: str | None = None,
    ) -> None:
        """Wait `timeout_s` for answers, `restart_timeout_s` where the server starts or stops.

        The agent is not older than the version `pin`.
        """
        self._transport = transport
        self._instance_id = instance_id
        self._contract = guest_contract(instance_id)
        self._rpc = self._contract.client(transport, pin=pin)
        self._timeout_s = timeout_s
        self._restart_timeout_s = restart_timeout_s

    def declare(self) -> None:
        """Make the guest's queue, so that what is sent before its agent has started waits for it.

        Raises:
            DispatchFailed: if the broker is not there.
        """
        try:
            self._transport.declare(self._contract.topic, GUEST_SERVER)
        except NotDeliveredError as error:
            raise DispatchFailed(service=self._contract.service) from error

    def _order(self, ctx: TroveContext, method: str, /, *, is_awaited: bool, **args: JSON) -> None:
        if not is_awaited:
            self._rpc.cast(ctx, method, **args)
            return
        # A guest that was away finds the order when it is back; it must not follow what was given up long ago.
        until = datetime.now(UTC) + timedelta(seconds=self._restart_timeout_s)
        self._call(ctx, method, timeout_s=self._restart_timeout_s, until=until.isoformat(), **args)

    def _call(
        self, ctx: TroveContext, method: str, /, *, timeout_s: float | None = None, **args: JSON
    ) -> JSON:
        limit_s = timeout_s or self._timeout_s
        try:
            return self._rpc.call(ctx, method, timeout_s=limit_s, **args)
        except PeerTooOld:
            raise
        except (RpcTimeout, DispatchFailed) as error:
            raise GuestUnreachable(id=self._instance_id, timeout_s=limit_s) from error
        except _MAY_ANSWER:
            raise
        except CofferError as error:
            raise GuestFailed(reason=f"The guest agent of instance {self._instance_id} failed.") from error


def as_rows(value: JSON) -> list[dict[str, JSON]]:
    """Return what a guest answered as rows; whatever is no row is left out (guests are strangers)."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def as_row(value: JSON) -> dict[str, JSON]:
    """Return what a guest answered as one row, empty if it is none."""
    return value if isinstance(value, dict) else {}
