"""Operations on clusters. Source: ceilometer-integration spec, dbaas.cluster_*."""

from coffer.catalogue.operation import Operation, ServerType
from coffer.catalogue.shared_traits import text

_COLLECTION = "/v1.0/{project_id}/clusters"
_ONE = f"{_COLLECTION}/{{cluster_id}}"
_DEADLINE_S = 7200

CREATE = Operation(
    name="cluster_create",
    sentence="Build a cluster and its instances.",
    rest=f"POST {_COLLECTION}",
    python_api="clusters.create(name, datastore, datastore_version, instances)",
    ended_by=ServerType.TASK,
    deadline_s=_DEADLINE_S,
    subject="cluster",
    start=(
        text("name", "Name of the new cluster."),
        text("datastore", "Datastore of the new cluster."),
        text("datastore_version", "Datastore version of the new cluster."),
    ),
    end=(text("cluster_id", "Cluster that was created."),),
    extension=(text("cluster_id", "Cluster that is being created.", required=False),),
)

DELETE = Operation(
    name="cluster_delete",
    sentence="Delete a cluster with its instances and their data.",
    rest=f"DELETE {_ONE}",
    python_api="clusters.delete(cluster)",
    ended_by=ServerType.TASK,
    deadline_s=1800,
    subject="cluster",
    start=(text("cluster_id", "Cluster to delete."),),
)

ADD_SHARD = Operation(
    name="cluster_add_shard",
    sentence="Add a shard to a cluster.",
    rest=f"POST {_ONE}",
    body='{"add_shard": {}}',
    python_api="clusters.add_shard(cluster)",
    ended_by=ServerType.TASK,
    deadline_s=_DEADLINE_S,
    subject="cluster",
    start=(text("cluster_id", "Cluster to add a shard to."),),
)

GROW = Operation(
    name="cluster_grow",
    sentence="Add instances to a cluster.",
    rest=f"POST {_ONE}",
    body='{"grow": […]}',
    python_api="clusters.grow(cluster, instances)",
    ended_by=ServerType.TASK,
    deadline_s=_DEADLINE_S,
    subject="cluster",
    start=(text("cluster_id", "Cluster to add instances to."),),
)

SHRINK = Operation(
    name="cluster_shrink",
    sentence="Take instances out of a cluster and delete them.",
    rest=f"POST {_ONE}",
    body='{"shrink": […]}',
    python_api="clusters.shrink(cluster, instances)",
    ended_by=ServerType.TASK,
    deadline_s=_DEADLINE_S,
    subject="cluster",
    start=(text("cluster_id", "Cluster to take instances from."),),
)

ROWS = (CREATE, DELETE, ADD_SHARD, GROW, SHRINK)
