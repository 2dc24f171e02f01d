"""Configuration groups and parameters as the bodies that the clients read."""

from coffer.api.views.links import moment
from coffer.catalogue.masking import MASK
from coffer.datastores.datastore import DatastoreVersion
from coffer.datastores.parameters import Parameter
from coffer.store.configurations import Configuration, Value
from coffer.wire.json import JSON


def summary(configuration: Configuration, version: DatastoreVersion | None) -> dict[str, JSON]:
    """Return a group as the lists show it; `version` is None where this installation no longer has it."""
    number = configuration.datastore_version
    return {
        "id": configuration.id,
        "name": configuration.name,
        "description": configuration.description,
        "created": moment(configuration.created_at),
        "updated": moment(configuration.updated_at),
        "datastore_name": configuration.datastore,
        "datastore_version_id": version.id if version else None,
        "datastore_version_name": version.name if version else configuration.datastore_version,
        "datastore_version_number": version.number if version else number,
    }


def detail(
    configuration: Configuration, version: DatastoreVersion | None, instance_count: int
) -> dict[str, JSON]:
    """Return a group with its values; those of passwords are masked."""
    values: dict[str, JSON] = {
        name: _shown(name, value) for name, value in sorted(configuration.values.items())
    }
    return {**summary(configuration, version), "values": values, "instance_count": instance_count}


def parameter_view(parameter: Parameter, version_id: str) -> dict[str, JSON]:
    """Return a parameter. `unit` and `choices` are ours; what does not apply is absent."""
    view: dict[str, JSON] = {
        "name": parameter.name,
        "type": parameter.kind.value,
        "restart_required": parameter.restart_required,
        "datastore_version_id": version_id,
    }
    if parameter.minimum is not None:
        view["min"] = parameter.minimum
    if parameter.maximum is not None:
        view["max"] = parameter.maximum
    if parameter.unit is not None:
        view["unit"] = parameter.unit
    if parameter.choices:
        view["choices"] = list(parameter.choices)
    return view


def _shown(name: str, value: Value) -> JSON:
    return MASK if "password" in name or "secret" in name else value
