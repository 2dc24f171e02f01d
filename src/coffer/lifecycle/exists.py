"""What `trove.instance.exists` says: the class that the option `exists_notification_transformer` may name.

An operator's own class is made once, with `service_ids` like ours, and has the method `values` of `Transformer`. It may
say less or other things than ours, but only what the catalogue declares leaves.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from coffer.lifecycle.facts import instance_facts
from coffer.lifecycle.payloads import Value
from coffer.lifecycle.windows import Window
from coffer.store.instances import Instance


@runtime_checkable
class Transformer(Protocol):
    """Turns an instance into the facts of its `trove.instance.exists`."""

    def values(self, instance: Instance, period: Window) -> Mapping[str, Value] | None:
        """Return the facts by payload field; None if this instance is not to be announced.

        `period` is the part of the audit window that is billed. If this raises, the window waits, and all that
        follow it, until it does not any more: no period is lost, and none is told twice.
        """


class Exists:
    """The specification's facts with sizes, cluster and tenant: enough for a bill without other events.

    Sizes and state are the present ones; when a size changed, `modify_volume` and `modify_flavor` tell.
    """

    def __init__(self, service_ids: Mapping[str, str]) -> None:
        """Take the notification service ids by datastore."""
        self._service_ids = service_ids

    def values(self, instance: Instance, period: Window) -> Mapping[str, Value] | None:
        """Return everything that a bill needs."""
        return {
            **instance_facts(instance, service_ids=self._service_ids),
            "audit_period_beginning": period.begin,
            "audit_period_ending": period.end,
        }
