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


def managed_version_view(datastore: Datastore, version: DatastoreVersion) -> dict[str, JSON]:
    """Return a version as administrators see it; there are no images or packages, engines are installed."""
    return {
        "id": version.id,
        "name": version.name,
        "version": version.number,
        "datastore_id": datastore.id,
        "datastore_name": datastore.name,
        "datastore_manager": datastore.name,
        "active": True,
        "default": version == datastore.default_version,
        "image": None,
        "image_tags": [],
        "packages": [],
    }


def _short(datastore: Datastore, version: DatastoreVersion, here: Here) -> dict[str, JSON]:
    return {
        "id": version.id,
        "name": version.name,
        "version": version.number,
        "links": here.links(f"datastores/{datastore.id}/versions/{version.id}"),
    }
