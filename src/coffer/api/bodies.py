"""The bodies that calls bring, as types. What a type cannot say, the checks of each noun say."""

import msgspec

from coffer.api.secret import Secret


class Shape(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object with exactly these members; an unknown one is refused with its name."""


class NamedDatabase(Shape):
    """A database that is meant, not made."""

    name: str


class NewDatabase(Shape):
    """A database to be made."""

    name: str
    character_set: str | None = None
    collate: str | None = None


class NewUser(Shape):
    """A user to be made, with the databases that he may use."""

    name: str
    password: Secret
    host: str | None = None
    databases: list[NamedDatabase] = []


class Databases(Shape):
    """POST .../databases."""

    databases: list[NewDatabase]


class Users(Shape):
    """POST .../users."""

    users: list[NewUser]


class UserChanges(Shape):
    """What is to change of a user; a member that is null is refused, for there is nothing that it could mean."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    password: Secret | msgspec.UnsetType = msgspec.UNSET
    host: str | msgspec.UnsetType = msgspec.UNSET


class UpdateUser(Shape):
    """PUT .../users/{user}."""

    user: UserChanges


class NewPassword(Shape):
    """A user and the password that he is to have."""

    name: str
    password: Secret
    host: str | None = None


class NewPasswords(Shape):
    """PUT .../users."""

    users: list[NewPassword]


class Grants(Shape):
    """PUT .../users/{user}/databases."""

    databases: list[NamedDatabase]


class Root(Shape):
    """POST .../root; without a password the server makes one."""

    password: Secret | None = None


class Nothing(Shape):
    """`{}`: an action that takes no arguments."""


class Restart(Shape):
    """POST .../action."""

    restart: Nothing


class PromoteToReplicaSource(Shape):
    """POST .../action."""

    promote_to_replica_source: Nothing


class EjectReplicaSource(Shape):
    """POST .../action."""

    eject_replica_source: Nothing


class ResetStatus(Shape):
    """POST .../action."""

    reset_status: Nothing


class Stop(Shape):
    """POST /mgmt/instances/{id}/action."""

    stop: Nothing


class Reboot(Shape):
    """POST /mgmt/instances/{id}/action."""

    reboot: Nothing


class ResetTaskStatus(Shape, rename={"reset_task_status": "reset-task-status"}):
    """POST /mgmt/instances/{id}/action."""

    reset_task_status: Nothing


class Volume(Shape):
    """How much room, in GiB. The client sends `type: null` when no type was asked for."""

    size: int
    type: str | None = None


class NewVolume(Shape):
    """A volume of another size."""

    volume: Volume


class ResizeVolume(Shape):
    """POST .../action."""

    resize: NewVolume


class NewFlavor(Shape, rename={"flavor_ref": "flavorRef"}):
    """Another flavor: its id, or a link that ends in it."""

    flavor_ref: str | int


class ResizeFlavor(Shape):
    """POST .../action."""

    resize: NewFlavor


class Quotas(Shape):
    """PUT /mgmt/quotas/{project}: limits by resource."""

    quotas: dict[str, int]


class RestoreFrom(Shape):
    """Data that lie elsewhere."""

    remote_location: str | None = None
    local_datastore_version_id: str | None = None
    size: float | None = None


class NewBackup(Shape):
    """A backup to be made. The client always sends `incremental`, 0 or 1."""

    name: str
    instance: str | None = None
    description: str | None = None
    parent_id: str | None = None
    incremental: int | bool | None = None
    storage_driver: str | None = None
    swift_container: str | None = None
    restore_from: RestoreFrom | None = None


class CreateBackup(Shape):
    """POST /backups."""

    backup: NewBackup


class DatastoreRef(Shape):
    """Which engine; `type` and `version` are names or ids."""

    type: str | None = None
    version: str | None = None
    version_number: str | None = None


class Access(Shape):
    """Who may reach the server. The client always sends `is_public: false`."""

    is_public: bool | None = None
    allowed_cidrs: list[str] | None = None


class Nic(Shape):
    """A network to be on."""

    network_id: str | None = None
    subnet_id: str | None = None
    ip_address: str | None = None


class RestorePoint(Shape, rename={"backup_ref": "backupRef"}):
    """A backup to start from."""

    backup_ref: str


class ModuleRef(Shape):
    """A module to install."""

    id: str


class NewInstance(Shape, rename={"flavor_ref": "flavorRef", "restore_point": "restorePoint"}):
    """An instance to be made."""

    name: str
    flavor_ref: str | int | None = None
    volume: Volume | None = None
    databases: list[NewDatabase] = []
    users: list[NewUser] = []
    datastore: DatastoreRef | None = None
    availability_zone: str | None = None
    region_name: str | None = None
    access: Access | None = None
    restore_point: RestorePoint | None = None
    replica_of: str | None = None
    slave_of: str | None = None
    replica_count: int | None = None
    configuration: str | None = None
    nics: list[Nic] | None = None
    modules: list[ModuleRef] | None = None
    locality: str | None = None


class CreateInstance(Shape):
    """POST /instances."""

    instance: NewInstance


class NewConfiguration(Shape):
    """A configuration group to be made."""

    name: str
    values: dict[str, str | int | float | bool | None]
    description: str | None = None
    datastore: DatastoreRef | None = None


class CreateConfiguration(Shape):
    """POST /configurations."""

    configuration: NewConfiguration


class ConfigurationChanges(Shape):
    """What a group is to be; a name or description that is left out stays."""

    values: dict[str, str | int | float | bool | None]
    name: str | None = None
    description: str | None = None


class UpdateConfiguration(Shape):
    """PUT /configurations/{id}."""

    configuration: ConfigurationChanges


class ConfigurationValues(Shape):
    """Parameters to be added or changed."""

    values: dict[str, str | int | float | bool | None]


class EditConfiguration(Shape):
    """PATCH /configurations/{id}."""

    configuration: ConfigurationValues


class InstanceChanges(Shape):
    """What may change of an instance; a member that is null is not the same as one that is absent."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    replica_of: str | msgspec.UnsetType | None = msgspec.UNSET
    slave_of: str | msgspec.UnsetType | None = msgspec.UNSET
    configuration: str | msgspec.UnsetType | None = msgspec.UNSET
    datastore_version: str | msgspec.UnsetType = msgspec.UNSET
    access: Access | msgspec.UnsetType = msgspec.UNSET


class UpdateInstance(Shape):
    """PUT and PATCH /instances/{id}."""

    instance: InstanceChanges
