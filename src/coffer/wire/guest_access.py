"""What a guest may reach at the broker: names and permissions, for those who make accounts and those who use them.

Guests publish to an exchange of their own, to which the conductor's queue is bound and no other. Topic permissions on
the exchange that everybody uses would not do: RabbitMQ compares them with the routing key only, and routes by the
headers CC and BCC as well, so a guest that may write to the conductor there could write to every queue of it.
"""

import re
from dataclasses import dataclass

from coffer.wire.contracts import CONDUCTOR, guest_contract

_ACCOUNT = re.compile(r"guest-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class GuestAccess:
    """The names of one installation; `prefix` is put before all but the accounts'."""

    prefix: str = ""

    @property
    def exchange(self) -> str:
        """The exchange (topic, durable as the others) to which guests publish."""
        return f"{self.prefix}trove-guests"

    @property
    def conductor_queue(self) -> str:
        """The only queue of that exchange, bound by its own name."""
        return f"{self.prefix}{CONDUCTOR.topic}"

    def guest_queue(self, instance_id: str) -> str:
        """The only queue that a guest may read: its own."""
        return f"{self.prefix}{guest_contract(instance_id).topic}"

    def instance_of(self, topic: str) -> str:
        """Return whose topic (before the prefix) this is."""
        return topic.removeprefix(guest_contract("").topic)

    @property
    def conductor_pattern(self) -> str:
        """RabbitMQ's pattern for the queue that all guests write to."""
        return f"^{re.escape(self.conductor_queue)}$"

    @property
    def guests_pattern(self) -> str:
        """RabbitMQ's pattern for the queues that guests read."""
        return f"^{re.escape(self.guest_queue(''))}"

    def permissions(self, instance_id: str) -> dict[str, str]:
        """What the guest's account may do, as RabbitMQ's patterns: configure nothing, not even what is its own."""
        return {
            "configure": "^$",
            "write": f"^{re.escape(self.exchange)}$",
            "read": f"^{re.escape(self.guest_queue(instance_id))}$",
        }

    def topic_permissions(self) -> dict[str, str]:
        """Which routing keys it may publish with."""
        return {"exchange": self.exchange, "write": self.conductor_pattern, "read": "^$"}


def account_of(instance_id: str) -> str:
    """Return the name of a guest's account; accounts belong to the whole broker, so no prefix is in it."""
    return f"guest-{instance_id}"


def instance_of(account: str) -> str | None:
    """Return whose account it is; None if it is no guest's."""
    found = _ACCOUNT.fullmatch(account)
    return found and found[1]
