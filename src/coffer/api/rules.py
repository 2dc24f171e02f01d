"""Which rules for names an instance's datastore has."""

from coffer.api.call import Call
from coffer.catalogue.errors import NotBuilt
from coffer.datastores.datastore import Rules
from coffer.store.instances import Instance


def rules_of(call: Call, instance: Instance) -> Rules:
    """Return the rules of the instance's datastore.

    Raises:
        NotBuilt: if this installation has lost the datastore that the instance was made with.
    """
    datastore = call.services.datastores.get(instance.datastore)
    if datastore is None:
        raise NotBuilt(what=f"The datastore {instance.datastore}")
    return datastore.rules
