"""Flavors: the sizes that the cloud offers."""

from coffer.api.call import Answer, Call
from coffer.api.views.flavors import flavor_view
from coffer.catalogue.errors import NotFound


def index(call: Call) -> Answer:
    """List every flavor; the client does not page here."""
    return Answer(
        200, {"flavors": [flavor_view(flavor, call.here) for flavor in call.services.cloud.flavors()]}
    )


def show(call: Call) -> Answer:
    """Show one flavor."""
    wanted = call.params["flavor_id"]
    for flavor in call.services.cloud.flavors():
        if flavor.id == wanted:
            return Answer(200, {"flavor": flavor_view(flavor, call.here)})
    raise NotFound(resource="Flavor", id=wanted)
