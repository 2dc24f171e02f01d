"""Parameters of a datastore version: what a configuration group may hold, and whether it does."""

import re
from collections.abc import Mapping

from coffer.api.call import Answer, Call
from coffer.api.datastores import version_in_path
from coffer.api.views.configurations import parameter_view
from coffer.catalogue.errors import InvalidParameter, NotFound
from coffer.datastores.parameters import Parameter, Value

_QUOTABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,62}")
"""What may be repeated in an answer and an event when it is no parameter's name."""


def index(call: Call) -> Answer:
    """List the parameters that a group for this version may hold; the client does not page here."""
    datastore, version = version_in_path(call)
    parameters = datastore.parameters(version.name).values()
    return Answer(
        200, {"configuration-parameters": [parameter_view(each, version.id) for each in parameters]}
    )


def show(call: Call) -> Answer:
    """Show one parameter of a version."""
    datastore, version = version_in_path(call)
    wanted = call.params["parameter"]
    found = _by_folded_name(datastore.parameters(version.name)).get(wanted.lower())
    if found is None:
        raise NotFound(resource="Parameter", id=wanted)
    return Answer(200, parameter_view(found, version.id))


def checked(
    offered: Mapping[str, Parameter], values: Mapping[str, Value | None], where: str
) -> dict[str, Value]:
    """Return values under the parameters' own names; `where` says which version has them.

    Raises:
        InvalidParameter: for the first one that is not offered, named twice or not taken.
    """
    known = _by_folded_name(offered)
    found: dict[str, Value] = {}
    for name, value in values.items():
        parameter = known.get(name.lower())
        if parameter is None:
            quoted = f"The parameter {name}" if _QUOTABLE.fullmatch(name) else "One of the parameters"
            raise InvalidParameter(reason=f"{quoted} is none of those that {where} offers.")
        if parameter.name in found:
            raise InvalidParameter(reason=f"The parameter {parameter.name} is named twice.")
        problem = "needs a value" if value is None else parameter.problem(value)
        if value is None or problem is not None:
            raise InvalidParameter(reason=f"The parameter {parameter.name} {problem}.")
        found[parameter.name] = value
    return found


def _by_folded_name(offered: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the parameters by their names in small letters: servers do not tell `timezone` from `TimeZone`."""
    return {name.lower(): parameter for name, parameter in offered.items()}
