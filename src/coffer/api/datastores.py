"""Datastores and their versions: which engines there are."""

from collections.abc import Iterator
from functools import lru_cache

from coffer.api.call import Answer, Call
from coffer.api.flavors import index as all_flavors
from coffer.api.views.datastores import datastore_view, managed_version_view, version_view
from coffer.api.views.links import Here
from coffer.catalogue.errors import NotFound
from coffer.datastores.datastore import Datastore, DatastoreVersion
from coffer.datastores.registry import Registry
from coffer.wire.json import JSON


def index(call: Call) -> Answer:
    """List the datastores; the client does not page here."""
    return Answer(200, _all(call.services.datastores, call.here))


@lru_cache(maxsize=256)
def _all(datastores: Registry, here: Here) -> dict[str, JSON]:
    """Return the datastores; they stay as they are, and every command of the client's asks for them."""
    return {"datastores": [datastore_view(datastore, here) for datastore in datastores]}


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
    datastore, found = _version_by_id(call)
    return Answer(200, {"version": version_view(datastore, found, call.here)})


def version_flavors(call: Call) -> Answer:
    """List the flavors that a version can have: all of them."""
    _version(call)
    return all_flavors(call)


def version_volume_types(call: Call) -> Answer:
    """List the volume types that a version can have: a cloud of one machine has none to choose from."""
    _version(call)
    return Answer(200, {"volume_types": []})


def all_versions(call: Call) -> Answer:
    """List the versions of all datastores, for administrators; what there is, the machine's engines decide."""
    views = [managed_version_view(*each) for each in _all_versions(call)]
    return Answer(200, {"versions": list(views)})


def any_version(call: Call) -> Answer:
    """Show a version of whichever datastore to an administrator, by its id."""
    return Answer(200, {"version": managed_version_view(*_version_by_id(call))})


def version_in_path(call: Call) -> tuple[Datastore, DatastoreVersion]:
    """Return the version that the path names, with its datastore or by its id alone.

    Raises:
        NotFound: if there is none.
    """
    return _version(call) if "datastore" in call.params else _version_by_id(call)


def _all_versions(call: Call) -> Iterator[tuple[Datastore, DatastoreVersion]]:
    for datastore in call.services.datastores:
        for each in datastore.versions:
            yield datastore, each


def _version_by_id(call: Call) -> tuple[Datastore, DatastoreVersion]:
    wanted = call.params["version"]
    for datastore, each in _all_versions(call):
        if each.id == wanted:
            return datastore, each
    raise NotFound(resource="Datastore version", id=wanted)


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
