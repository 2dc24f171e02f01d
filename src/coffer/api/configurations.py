"""Configuration groups: parameters under a name, for any number of instances of one version."""

import uuid
from collections.abc import Mapping

from coffer.api import spreading
from coffer.api.bodies import CreateConfiguration, DatastoreRef, EditConfiguration, UpdateConfiguration
from coffer.api.call import ACCEPTED, Answer, Call, is_uuid
from coffer.api.offers import version_on_offer
from coffer.api.paging import cut
from coffer.api.parameters import checked
from coffer.api.settling import Settling
from coffer.api.spreading import Change
from coffer.api.validation import label_problem, require
from coffer.api.views.configurations import detail, summary
from coffer.catalogue.errors import BadRequest, CofferError, NotFound
from coffer.catalogue.operations import OPERATIONS
from coffer.datastores.datastore import DatastoreVersion
from coffer.datastores.parameters import Value
from coffer.lifecycle.runs import Ending
from coffer.store import configurations
from coffer.store.configurations import Configuration
from coffer.wire.json import JSON

_DESCRIPTION_LIMIT = 1024


def index(call: Call) -> Answer:
    """List the project's groups, the newest first, a page at a time."""
    request = call.page()
    with call.services.database.reading() as tx:
        found = configurations.page(tx, call.project_id, request.limit + 1, request.marker)
    page = cut(found, limit=request.limit, marker_of=lambda group: group.id)
    items: list[JSON] = [summary(each, _version(call, each)) for each in page.items]
    return Answer(200, call.paged({"configurations": items}, request, page.next_marker))


def show(call: Call) -> Answer:
    """Show one group with its values."""
    return Answer(200, {"configuration": _shown(call, found(call, call.params["configuration_id"]))})


def instances(call: Call) -> Answer:
    """List the instances that are attached to a group, a page at a time."""
    request = call.page()
    group = found(call, call.params["configuration_id"])
    with call.services.database.reading() as tx:
        rows = configurations.attached(tx, group.id, limit=request.limit + 1, marker=request.marker)
    page = cut(rows, limit=request.limit, marker_of=lambda row: row[0])
    items: list[JSON] = [{"id": instance_id, "name": name} for instance_id, name in page.items]
    return Answer(200, call.paged({"instances": items}, request, page.next_marker))


def create(call: Call) -> Answer:
    """Create a group."""
    asked = call.read(CreateConfiguration).configuration
    _check_labels(asked.name, asked.description)
    datastore, version = version_on_offer(
        call, asked.datastore or DatastoreRef(), where="configuration.datastore"
    )
    group_id = str(uuid.uuid4())
    traits = {
        "configuration_id": group_id,
        "name": asked.name,
        "datastore": datastore.name,
        "datastore_version": version.name,
    }
    operation = OPERATIONS["configuration_create"]
    with call.services.lifecycle.begin(call.ctx, operation, items=[traits]) as begun:
        offered = datastore.parameters(version.name)
        values = checked(offered, asked.values, f"{datastore.name} {version.name}")
    group = Configuration(
        id=group_id,
        project_id=call.project_id,
        name=asked.name,
        description=asked.description,
        datastore=datastore.name,
        datastore_version=version.name,
        parameters=configurations.text_of(values),
        created_at=begun.run.started_at,
        updated_at=begun.run.started_at,
    )
    with Settling(call, begun) as settling:
        settling.end(settling.context, lambda ending: configurations.insert(ending.tx, group))
    return Answer(200, {"configuration": _shown(call, group)})


def delete(call: Call) -> Answer:
    """Delete a group that no instance is attached to."""
    group = found(call, call.params["configuration_id"])

    def change(ending: Ending) -> None:
        if configurations.lock(ending.tx, group.id) is None:
            raise NotFound(resource="Configuration", id=group.id)
        attached = len(configurations.attached(ending.tx, group.id))
        if attached:
            raise BadRequest(
                reason=f"The configuration group {group.id} is attached to {attached} instance(s); detach it first."
            )
        configurations.delete(ending.tx, group.id, ending.now)

    operation = OPERATIONS["configuration_delete"]
    items = [{"configuration_id": group.id}]
    with call.services.lifecycle.begin(call.ctx, operation, items=items) as begun:
        pass
    with Settling(call, begun) as settling:
        settling.end(settling.context, change)
    return ACCEPTED


def update(call: Call) -> Answer:
    """Replace all values of a group, and its name or description if they are given."""
    asked = call.read(UpdateConfiguration).configuration
    _check_labels(asked.name, asked.description)
    labels = {
        key: text
        for key, text in (("name", asked.name), ("description", asked.description))
        if text is not None
    }
    group = found(call, call.params["configuration_id"])
    _change(call, "configuration_update", group, values=asked.values, labels=labels, is_merged=False)
    return ACCEPTED


def edit(call: Call) -> Answer:
    """Change some values of a group; the others stay."""
    values = call.read(EditConfiguration).configuration.values
    group = found(call, call.params["configuration_id"])
    _change(call, "configuration_edit", group, values=values, labels={}, is_merged=True)
    return Answer(200)


def found(call: Call, configuration_id: str) -> Configuration:
    """Return the project's group.

    Raises:
        NotFound: if there is none, if it is deleted, or if it is another project's.
    """
    group = None
    if is_uuid(configuration_id):
        with call.services.database.reading() as tx:
            group = configurations.find(tx, call.project_id, configuration_id)
    if group is None:
        raise NotFound(resource="Configuration", id=configuration_id)
    return group


def _change(
    call: Call,
    operation: str,
    group: Configuration,
    *,
    values: Mapping[str, Value | None],
    labels: Mapping[str, str],
    is_merged: bool,
) -> None:
    """Change a group, then tell the guests of its instances, and end the run when all of them have it."""
    refusal: CofferError | None = None
    checked_values: dict[str, Value] = {}
    silent: dict[str, CofferError] = {}
    try:
        checked_values = _checked(call, group, values)
        silent = spreading.ask(
            call, group, {**group.values, **checked_values} if is_merged else checked_values
        )
    except CofferError as error:
        # Guests are not asked in a transaction; what they refuse is announced all the same.
        refusal = error
    items = [{"configuration_id": group.id, **labels}]
    with call.services.lifecycle.begin(call.ctx, OPERATIONS[operation], items=items) as begun:
        if refusal is not None:
            raise refusal
        change = Change(group_id=group.id, values=checked_values, labels=labels, is_merged=is_merged)
        marks = spreading.write(begun.tx, operation, change, begun.run.started_at)
    with Settling(call, begun) as settling:
        spreading.tell(call, settling, group.id, marks, silent)


def _checked(call: Call, group: Configuration, values: Mapping[str, Value | None]) -> dict[str, Value]:
    datastore = call.services.datastores.get(group.datastore)
    offered = datastore.parameters(group.datastore_version) if datastore else {}
    return checked(offered, values, f"{group.datastore} {group.datastore_version}")


def _check_labels(name: str | None, description: str | None) -> None:
    if name is not None:
        require(label_problem(name), "configuration.name")
    if description:
        require(label_problem(description, limit=_DESCRIPTION_LIMIT), "configuration.description")


def _shown(call: Call, group: Configuration) -> dict[str, JSON]:
    with call.services.database.reading() as tx:
        count = len(configurations.attached(tx, group.id))
    return detail(group, _version(call, group), count)


def _version(call: Call, group: Configuration) -> DatastoreVersion | None:
    datastore = call.services.datastores.get(group.datastore)
    return datastore.version(group.datastore_version) if datastore else None
