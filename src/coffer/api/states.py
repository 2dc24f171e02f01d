"""In which states a guest is asked at all, and whose server may be changed."""

from coffer.catalogue.errors import ReplicaReadOnly, WrongState
from coffer.catalogue.states import USABLE, InstanceState
from coffer.store.instances import Instance

ANSWERING = USABLE | {InstanceState.BACKUP}
"""An instance goes on serving while it is backed up."""


def require_usable(instance: Instance, what: str) -> None:
    """Refuse at once what could only wait for a server that is not there.

    Raises:
        WrongState: in every state in which the instance does not serve.
    """
    if instance.state not in ANSWERING:
        allowed = ", ".join(sorted(ANSWERING))
        raise WrongState(id=instance.id, state=instance.state, operation=what, allowed=allowed)


def require_writable(instance: Instance) -> None:
    """Refuse to change the content of a replica, which its source alone can change.

    Raises:
        ReplicaReadOnly: naming the source.
    """
    if instance.replica_of is not None:
        raise ReplicaReadOnly(id=instance.id, source_id=instance.replica_of)
