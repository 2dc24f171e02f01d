"""Operations on an instance as a whole. Source: ceilometer-integration spec, dbaas.instance_*."""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import number, text
from coffer.catalogue.states import USABLE, InstanceState, Move

_COLLECTION = "/v1.0/{project_id}/instances"
_ONE = f"{_COLLECTION}/{{instance_id}}"
_ACTION = f"POST {_ONE}/action"

CREATE = Operation(
    name="instance_create",
    sentence="Build an instance: machine, volume, database server and its first databases and users.",
    rest=f"POST {_COLLECTION}",
    python_api="instances.create(name, flavor_id, volume, databases, users, …)",
    ended_by=ServerType.CONDUCTOR,
    deadline_s=1800,
    subject="instance",
    start=(
        text("name", "Name of the new instance."),
        text("flavor", "Flavor id of the new instance."),
        text("datastore", "Datastore of the new instance."),
        text("datastore_version", "Datastore version of the new instance."),
        text("databases", "Names of the databases to create, separated by commas.", required=False),
        text("users", "Names of the users to create, separated by commas.", required=False),
        number("volume_size", "Size of the volume to create.", unit="GiB", required=False),
        text("restore_point", "Backup to start from.", required=False),
        text("availability_zone", "Availability zone asked for.", required=False),
        text("replica_of", "Instance that the new one replicates.", required=False),
        text(
            "replica_count",
            "Number of replicas to create (a text, as the specification types it).",
            required=False,
        ),
    ),
    end=(text("instance_id", "Instance that was created."),),
    error=(text("instance_id", "Instance that was to be created.", required=False),),
    extension=(text("instance_id", "Instance that is being created.", required=False),),
    move=Move(
        allowed=frozenset(),
        during=InstanceState.BUILD,
        end=InstanceState.ACTIVE,
        error=InstanceState.ERROR,
    ),
    built=True,
)

RESTART = Operation(
    name="instance_restart",
    sentence="Restart the database server of an instance.",
    rest=_ACTION,
    body='{"restart": {}}',
    python_api="instances.restart(instance)",
    ended_by=ServerType.TASK,
    deadline_s=300,
    subject="instance",
    start=(text("instance_id", "Instance to restart."),),
    # As before after a failure: operating_status says that the server is down, and the tenant can try again; what
    # had waited for a restart still does.
    move=Move(allowed=USABLE, during=InstanceState.REBOOT, end=InstanceState.ACTIVE),
    built=True,
)

RESIZE_VOLUME = Operation(
    name="instance_resize_volume",
    sentence="Enlarge the volume of an instance.",
    rest=_ACTION,
    body='{"resize": {"volume": {"size": …}}}',
    python_api="instances.resize_volume(instance, volume_size)",
    ended_by=ServerType.TASK,
    deadline_s=1800,
    subject="instance",
    start=(
        text("instance_id", "Instance whose volume to enlarge."),
        number("new_size", "Size that the volume is to have.", unit="GiB"),
    ),
    # Afterwards as before: the server does not restart, so a restart that was required still is.
    move=Move(allowed=USABLE, during=InstanceState.RESIZE),
    resumable=True,
    built=True,
)

RESIZE_INSTANCE = Operation(
    name="instance_resize_instance",
    sentence="Give an instance another flavor.",
    rest=_ACTION,
    body='{"resize": {"flavorRef": …}}',
    python_api="instances.resize_instance(instance, flavor_id)",
    ended_by=ServerType.TASK,
    deadline_s=1800,
    subject="instance",
    start=(
        text("instance_id", "Instance to resize."),
        text("new_flavor_id", "Flavor that the instance is to have."),
    ),
    # Afterwards as before; unless the server says that nothing waits for a restart any more: the task asks it.
    move=Move(allowed=USABLE, during=InstanceState.RESIZE),
    resumable=True,
    built=True,
)

PROMOTE = Operation(
    name="instance_promote",
    sentence="Make a replica the source of its replication group.",
    rest=_ACTION,
    body='{"promote_to_replica_source": {}}',
    python_api="instances.promote_to_replica_source(instance)",
    ended_by=ServerType.TASK,
    deadline_s=1800,
    subject="instance",
    start=(text("instance_id", "Replica to promote."),),
    # Afterwards as before: the replica's own server does not restart.
    move=Move(allowed=USABLE, during=InstanceState.PROMOTE),
    resumable=True,
    built=True,
)

EJECT = Operation(
    name="instance_eject",
    sentence="Throw a dead source out of its replication group; a replica takes its place.",
    rest=_ACTION,
    body='{"eject_replica_source": {}}',
    python_api="instances.eject_replica_source(instance)",
    ended_by=ServerType.TASK,
    deadline_s=1800,
    subject="instance",
    start=(text("instance_id", "Source to eject."),),
    # Allowed in ERROR: ejecting is for sources that do not live any more.
    move=Move(
        allowed=USABLE | {InstanceState.ERROR},
        during=InstanceState.EJECT,
        end=InstanceState.ACTIVE,
    ),
    resumable=True,
    built=True,
)

DELETE = Operation(
    name="instance_delete",
    sentence="Delete an instance with its data.",
    rest=f"DELETE {_ONE}",
    python_api="instances.delete(instance)",
    ended_by=ServerType.TASK,
    deadline_s=300,
    subject="instance",
    start=(text("instance_id", "Instance to delete."),),
    move=Move(
        allowed=USABLE | {InstanceState.ERROR},
        during=InstanceState.SHUTDOWN,
        end=InstanceState.DELETED,
        error=InstanceState.ERROR,
    ),
    resumable=True,
    built=True,
)

DETACH = Operation(
    name="instance_detach",
    sentence="Make a replica an instance of its own.",
    rest=f"PUT {_ONE}",
    body='{"instance": {"replica_of": null}}',
    python_api="instances.update(instance, detach_replica_source=True)",
    ended_by=ServerType.TASK,
    deadline_s=600,
    subject="instance",
    start=(text("instance_id", "Replica to detach."),),
    move=Move(allowed=USABLE, during=InstanceState.DETACH),
    resumable=True,
    built=True,
)

ATTACH_CONFIGURATION = Operation(
    name="instance_attach_configuration",
    sentence="Let an instance run with the parameters of a configuration group.",
    rest=f"PUT {_ONE}",
    body='{"instance": {"configuration": …}}',
    python_api="instances.modify(instance, configuration)",
    ended_by=ServerType.API,
    deadline_s=600,
    subject="instance",
    start=(
        text("instance_id", "Instance to attach the configuration group to."),
        text("configuration_id", "Configuration group to attach."),
    ),
    # The state after it depends on the parameters: RESTART_REQUIRED where one of them is not dynamic.
    move=Move(allowed=USABLE),
    built=True,
)

DETACH_CONFIGURATION = Operation(
    name="instance_detach_configuration",
    sentence="Let an instance run with the datastore's own parameters again.",
    rest=f"PUT {_ONE}",
    body='{"instance": {"configuration": null}}',
    python_api="instances.modify(instance)",
    ended_by=ServerType.API,
    deadline_s=600,
    subject="instance",
    start=(text("instance_id", "Instance to detach the configuration group from."),),
    move=Move(allowed=USABLE),
    built=True,
)

ROWS = (
    CREATE,
    RESTART,
    RESIZE_VOLUME,
    RESIZE_INSTANCE,
    PROMOTE,
    EJECT,
    DELETE,
    DETACH,
    ATTACH_CONFIGURATION,
    DETACH_CONFIGURATION,
)
