"""In which states a guest is asked at all, by calls that are no runs."""

from coffer.catalogue.errors import WrongState
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
