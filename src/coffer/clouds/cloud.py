"""The port behind which instances live: what the task manager asks of any cloud.

Knows neither the database nor the messages. An implementation raises `catalogue.errors.CloudFailed`, with a
reason written for the tenant, and logs for the operator what is no business of the tenant's (paths, pids).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class CloudMisconfigured(Exception):  # noqa: N818 — it states a condition, like the errors of the catalogue
    """The operator must change something before the service can start; the message says what."""


@dataclass(frozen=True, slots=True)
class Flavor:
    """A size of instance."""

    id: str
    name: str
    ram_mib: int
    vcpus: int
    disk_gib: int


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What one instance shall be. `datastore` and `datastore_version` are names, not ids.

    `credentials` are what its guest agent proves itself with, None where nobody is between it and us. They are
    handed on as they are.
    """

    instance_id: str
    name: str
    datastore: str
    datastore_version: str
    flavor: Flavor
    volume_gib: int | None
    availability_zone: str | None
    credentials: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Server:
    """What the cloud made of a `ServerSpec`; `volume_id` is None when no volume was asked for."""

    server_id: str
    volume_id: str | None
    address: str
    port: int


class Cloud(Protocol):
    """Where instances live."""

    def flavors(self) -> Sequence[Flavor]:
        """Return the sizes on offer, smallest first as the operator listed them."""
        ...

    def zones(self) -> Sequence[str]:
        """Return the availability zones; an instance whose tenant does not choose gets the first."""
        ...

    def create(self, spec: ServerSpec) -> Server:
        """Make room for an instance and start its guest agent; the database server is the guest's business.

        Idempotent by `spec.instance_id`: asked again, it answers with the same server. What fails leaves
        nothing behind.

        Raises:
            CloudFailed: the reason is a sentence for the tenant.
        """
        ...

    def resize(self, instance_id: str, flavor: Flavor) -> None:
        """Give an instance the room of another flavor; the database server is the guest's business.

        Idempotent; done with the old flavor it takes back what was done with the new one.

        Raises:
            CloudFailed: the reason is a sentence for the tenant.
        """
        ...

    def resize_volume(self, instance_id: str, volume_gib: int) -> None:
        """Give an instance a volume of another size; see `resize`.

        Raises:
            CloudFailed: the reason is a sentence for the tenant.
        """
        ...

    def delete(self, instance_id: str) -> None:
        """Stop the guest and every process of the instance and remove everything it had here.

        Idempotent; an instance that is not there is deleted already.

        Raises:
            CloudFailed: something is left; asking again continues.
        """
        ...

    def halt(self, instance_id: str) -> None:
        """End the guest and every process of an instance, by force; all that it has here stays. Idempotent.

        Raises:
            CloudFailed: something still runs.
        """
        ...

    def owned(self) -> Sequence[str]:
        """Return the ids of instances that have anything here, finished or half made."""
        ...

    def unentrusted(self) -> Sequence[str]:
        """Return the ids of those whose guest agents have nothing to prove themselves with."""
        ...

    def distrust(self, instance_id: str) -> None:
        """Take its credentials away from an instance: it is among the `unentrusted` until it has others. Idempotent.

        Raises:
            CloudFailed: it may still have them.
        """
        ...

    def entrust(self, instance_id: str, credentials: str) -> None:
        """Give the guest agent of an instance other credentials, and start it anew with them. Idempotent.

        Raises:
            CloudFailed: the reason is a sentence for the tenant.
        """
        ...

    def start_guests(self, instance_ids: Collection[str]) -> None:
        """Start the guest agents of these instances where they do not run; they find their servers again."""
        ...

    def stop_guests(self) -> None:
        """Stop all guest agents; the database servers live on."""
        ...
