"""What coffer does not serve yet, so that an answer can say what is missing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coffer.api.routes import PROJECT, ROUTES
from coffer.catalogue.operations import OPERATIONS


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that clients make and nobody serves yet; `path` is below the project."""

    method: str
    path: str
    what: str


_INSTANCE = "/instances/{instance_id}"

CLIENT_CALLS = (
    Missing("GET", f"{_INSTANCE}/log", "Listing the logs of an instance"),
    Missing("POST", f"{_INSTANCE}/log", "Publishing the logs of an instance"),
    Missing("GET", f"{_INSTANCE}/ssl", "Showing the TLS settings of an instance"),
    Missing("POST", f"{_INSTANCE}/ssl", "Changing the TLS settings of an instance"),
    Missing("GET", f"{_INSTANCE}/modules", "Listing the modules of an instance"),
    Missing("POST", f"{_INSTANCE}/modules", "Installing modules"),
    Missing("DELETE", "/datastores/{datastore}", "Deleting a datastore through the API"),
    Missing("POST", "/mgmt/datastore-versions", "Making a datastore version through the API"),
    Missing("PATCH", "/mgmt/datastore-versions/{version}", "Changing a datastore version through the API"),
    Missing("DELETE", "/mgmt/datastore-versions/{version}", "Deleting a datastore version through the API"),
)
"""Calls of python-troveclient 8.11 on paths below those that are served; whole missing trees need no rows."""


def missing_calls() -> Iterator[Missing]:
    """Return the calls that have no route: operations of the catalogue, and what else a client can ask."""
    served = {(route.method, route.path) for route in ROUTES}
    seen = set(served)
    for operation in OPERATIONS.values():
        method, path = operation.rest.split(" ")
        call = (method, path.removeprefix(PROJECT))
        if not operation.built and call not in seen:
            seen.add(call)
            yield Missing(*call, what=_operations_of(operation.rest))
    yield from (missing for missing in CLIENT_CALLS if (missing.method, missing.path) not in served)


def sentence_of(method: str, path: str) -> str:
    """Return how an answer calls a path that no route has; the project's id is left out of it."""
    below = re.sub(r"^/v1\.0/[^/]*", "", path) or path
    return f"{method} {below}"


def _operations_of(rest: str) -> str:
    """Return the words for the operations that one call can mean."""
    names = [operation.name for operation in OPERATIONS.values() if operation.rest == rest]
    return f"The operation {' or '.join(names)}"
