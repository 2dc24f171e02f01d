"""Finds the datastore and the version that a body asks for, among those on offer."""

from coffer.api.bodies import DatastoreRef
from coffer.api.call import Call
from coffer.catalogue.errors import BadRequest
from coffer.datastores.datastore import Datastore, DatastoreVersion


def version_on_offer(call: Call, asked: DatastoreRef, where: str) -> tuple[Datastore, DatastoreVersion]:
    """Return what is asked for; what is left out is the default. `where` is the body's field.

    Raises:
        BadRequest: naming the field.
    """
    datastore = _datastore(call, asked.type or call.services.settings.default_datastore, where)
    return datastore, _version(datastore, asked, where)


def _datastore(call: Call, name: str | None, where: str) -> Datastore:
    datastores = call.services.datastores
    if name is None:
        on_offer = list(datastores)
        if len(on_offer) != 1:
            raise BadRequest(reason=f"{where}.type: there is no default datastore; name one.")
        return on_offer[0]
    found = datastores.get(name)
    if found is None:
        raise BadRequest(reason=f"{where}.type: there is no datastore {name}.")
    return found


def _version(datastore: Datastore, asked: DatastoreRef, where: str) -> DatastoreVersion:
    wanted = asked.version or asked.version_number
    version = datastore.version(wanted) if wanted else datastore.default_version
    if version is None:
        raise BadRequest(reason=f"{where}.version: {datastore.name} has no version {wanted}.")
    if asked.version_number and asked.version_number != version.number:
        raise BadRequest(
            reason=f"{where}.version_number: version {version.name} has number {version.number}."
        )
    return version
