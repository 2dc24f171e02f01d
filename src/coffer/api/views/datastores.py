"""Datastores and versions as the bodies that the clients read."""

from coffer.api.views.links import Here
from coffer.datastores.datastore import Datastore, DatastoreVersion
from coffer.wire.json import JSON


def datastore_view(datastore: Datastore, here: Here) -> dict[str, JSON]:
    """Return a datastore; `default_version` is an id that is among its versions."""
    return {
        "id": datastore.id,
        "name": datastore.name,
        "default_version": datastore.default_version.id,
        "versions": [_short(datastore, version, here) for version in datastore.versions],
        "links": here.links(f"datastores/{datastore.id}"),
    }


def version_view(datastore: Datastore, version: DatastoreVersion, here: Here) -> dict[str, JSON]:
    """Return a version with the id of its datastore."""
    return {**_short(datastore, version, here), "datastore": datastore.id}


def _short(datastore: Datastore, version: DatastoreVersion, here: Here) -> dict[str, JSON]:
    return {
        "id": version.id,
        "name": version.name,
        "version": version.number,
        "links": here.links(f"datastores/{datastore.id}/versions/{version.id}"),
    }
