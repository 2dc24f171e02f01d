"""What arrives at Ceilometer, from coffer and from upstream Trove: the fields of each message, and what is to be read.

A consumer has one file of definitions for whoever sends; so the check of such a file asks for both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coffer.catalogue.event import Event
from coffer.catalogue.events import EVENTS
from coffer.catalogue.facts import BASE as STATUS_BASE
from coffer.catalogue.facts import COMMON as STATUS_COMMON
from coffer.catalogue.facts import QUOTA
from coffer.catalogue.shared_traits import BASE, FAILED, TENANT_ID, moment, number, text
from coffer.catalogue.traits import Trait, TraitType

CONTEXT = MappingProxyType(
    dict.fromkeys(
        ("request_id", "global_request_id", "project_id", "tenant", "user_id", "user"), TraitType.TEXT
    )
)
"""What stands in the context of a message; `is_admin` and `roles` are nobody's trait."""


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message: what of it is documented, and what its sender adds to that."""

    event_type: str
    documented: tuple[Trait, ...]
    added: tuple[Trait, ...] = ()
    carried: tuple[Trait, ...] = ()
    """More that stands in the payload, and that nobody must read."""

    @property
    def fields(self) -> Mapping[str, TraitType]:
        """The fields of the payload with their types."""
        return {trait.field: trait.type for trait in (*self.carried, *self.added, *self.documented)}


def from_coffer() -> tuple[Message, ...]:
    """Return the 93 messages of coffer."""
    return tuple(_ours(event) for event in EVENTS.values())


def from_trove() -> tuple[Message, ...]:
    """Return the messages of upstream Trove (release 26), which sends its whole internal payload in every phase."""
    rows = (row.partition(": ") for row in _TROVE_OPERATIONS.strip().splitlines())
    operations = [message for name, _, traits in rows for message in _phases(name, *traits.split(" > "))]
    return (*_trove_status(), *operations)


def _ours(event: Event) -> Message:
    return Message(event.event_type, event.traits, event.extension_traits)


def _texts(names: str) -> tuple[Trait, ...]:
    return tuple(_KNOWN.get(name) or text(name, "") for name in names.split())


_KNOWN = {name: number(name, "") for name in ("volume_size", "new_size", "replica_count")}
"""What upstream's payloads hold as numbers; all else is text."""

_TROVE_OPERATIONS = """
backup_create: name instance_id description parent_id > backup_id
backup_delete: backup_id
cluster_add_shard: cluster_id
cluster_attach_configuration: cluster_id configuration_id
cluster_create: name datastore datastore_version > cluster_id
cluster_delete: cluster_id
cluster_detach_configuration: cluster_id
cluster_grow: cluster_id
cluster_reset_status: cluster_id
cluster_restart: cluster_id
cluster_shrink: cluster_id
cluster_upgrade: cluster_id datastore_version
configuration_create: name datastore datastore_version > configuration_id
configuration_delete: configuration_id
configuration_edit: configuration_id
configuration_update: configuration_id name description
database_create: instance_id dbname
database_delete: instance_id dbname
instance_attach_configuration: instance_id configuration_id
instance_create: name flavor_id datastore datastore_version image_id availability_zone region_name databases users \
  volume_size restore_point replica_of replica_count cluster_id backup_id > instance_id
instance_delete: instance_id
instance_detach: instance_id
instance_detach_configuration: instance_id
instance_eject: instance_id
instance_promote: instance_id
instance_reboot: instance_id
instance_reset_status: instance_id
instance_resize_instance: instance_id new_flavor_id
instance_resize_volume: instance_id new_size
instance_restart: instance_id
migrate: host
upgrade: instance_id datastore_version_id
user_change_password: instance_id username
user_create: instance_id username
user_delete: instance_id username
user_grant: instance_id username database
user_revoke: instance_id username database
user_update_attributes: instance_id username
"""
"""By operation: what its start says, and after the `>` what its end says besides."""


def _phases(name: str, start: str, end: str = "") -> Iterable[Message]:
    begun, ended = _texts(start), _texts(end)
    yield Message(f"dbaas.{name}.start", (*BASE, *begun))
    yield Message(f"dbaas.{name}.end", (*BASE, *ended), carried=begun)
    yield Message(f"dbaas.{name}.error", (*BASE, *FAILED), carried=begun)


def _trove_status() -> Iterable[Message]:
    common = tuple(trait for trait in (*STATUS_BASE, *STATUS_COMMON) if trait.name != "cluster_id")
    own = {
        "create": (),
        "delete": (moment("deleted_at", ""),),
        "modify_volume": (number("old_volume_size", ""), moment("modify_at", "")),
        "modify_flavor": (number("old_instance_size", ""), moment("modify_at", "")),
    }
    for change, traits in own.items():
        yield Message(f"trove.instance.{change}", (*common, *traits), (TENANT_ID,))
    exists = EVENTS["trove.instance.exists"]
    yield Message(exists.event_type, exists.traits, (TENANT_ID,))
    yield Message("dbaas.quota", EVENTS[QUOTA].traits)
