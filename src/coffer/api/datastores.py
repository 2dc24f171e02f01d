"""Datastores and their versions: which engines there are."""

from coffer.api.call import Answer, Call
from coffer.api.flavors import index as all_flavors
from coffer.api.views.datastores import datastore_view, version_view
from coffer.catalogue.errors import NotFound
from coffer.datastores.datastore import Datastore, DatastoreVersion


def index(call: Call) -> Answer:
    """List the datastores; the client does not page here."""
    views = [datastore_view(datastore, call.here) for datastore in call.services.datastores]
    return Answer(200, {"datastores": list(views)})


def show(call: Call) -> Answer:
    """Show one datastore, by id or name."""
    return Answer(200, {"datastore": datastore_view(_datastore(call), call.here)})


def versions(call: Call) -> Answer:
    """List the versions of one datastore."""
    datastore = _datastore(call)
    views = [version_view(datastore, version, call.here) for version in datastore.versions]
    return Answer(200, {"versions": list(views)})


def version(call: Call) -> Answer:
    """Show one version of one datastore, by id or name."""
    datastore, found = _version(call)
    return Answer(200, {"version": version_view(datastore, found, call.here)})


def version_by_id(call: Call) -> Answer:
    """Show a version of whichever datastore, by its id."""
    wanted = call.params["version"]
    for datastore in call.services.datastores:
        for each in datastore.versions:
            if each.id == wanted:
                return Answer(200, {"version": version_view(datastore, each, call.here)})
    raise NotFound(resource="Datastore version", id=wanted)


def version_flavors(call: Call) -> Answer:
    """List the flavors that a version can have: all of them."""
    _version(call)
    return all_flavors(call)


def version_volume_types(call: Call) -> Answer:
    """List the volume types that a version can have: a cloud of one machine has none to choose from."""
    _version(call)
    return Answer(200, {"volume_types": []})


def _datastore(call: Call) -> Datastore:
    wanted = call.params["datastore"]
    found = call.services.datastores.get(wanted)
    if found is None:
        raise NotFound(resource="Datastore", id=wanted)
    return found


def _version(call: Call) -> tuple[Datastore, DatastoreVersion]:
    datastore = _datastore(call)
    wanted = call.params["version"]
    found = datastore.version(wanted)
    if found is None:
        raise NotFound(resource="Datastore version", id=wanted)
    return datastore, found
