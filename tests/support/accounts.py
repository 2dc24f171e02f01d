"""The broker's accounts as a dictionary, and queues as a list: what the ports ask for, with a switch."""

from collections.abc import Sequence

from coffer.wire.broker_accounts import BrokerAccountsFailed
from coffer.wire.delivery import NotDeliveredError


class AccountBook:
    """Behaves as RabbitMQ's accounts do; `is_away` as they do when nobody answers."""

    def __init__(self) -> None:
        """Begin without an account."""
        self.passwords: dict[str, str] = {}
        self.disconnected: list[str] = []
        self.bounds = 0
        self.is_away = False

    def create(self, instance_id: str, password: str) -> None:
        """See `Accounts`."""
        self._ask()
        self.passwords[instance_id] = password

    def disconnect(self, instance_id: str) -> None:
        """See `Accounts`."""
        self._ask()
        self.disconnected.append(instance_id)

    def remove(self, instance_id: str) -> None:
        """See `Accounts`."""
        self._ask()
        self.passwords.pop(instance_id, None)

    def owned(self) -> Sequence[str]:
        """See `Accounts`."""
        self._ask()
        return sorted(self.passwords)

    def bound(self) -> None:
        """See `Accounts`."""
        self._ask()
        self.bounds += 1

    def _ask(self) -> None:
        if self.is_away:
            raise BrokerAccountsFailed("RabbitMQ's management API does not answer")


class QueueBook:
    """Remembers which queues were deleted; `is_away` as the broker is."""

    def __init__(self) -> None:
        """Begin with a broker that answers."""
        self.removed: list[str] = []
        self.is_away = False

    def remove(self, instance_id: str) -> None:
        """See `Queues`."""
        if self.is_away:
            raise NotDeliveredError("the broker is silent")
        self.removed.append(instance_id)
