"""A flavor as the body that the clients read."""

import re

from coffer.api.views.links import Here
from coffer.clouds.cloud import Flavor
from coffer.wire.json import JSON


def flavor_view(flavor: Flavor, here: Here) -> dict[str, JSON]:
    """Return a flavor. `id` is a number or null, as in Nova's days; the text is in `str_id`."""
    return {
        "id": int(flavor.id) if re.fullmatch(r"0|[1-9][0-9]{0,8}", flavor.id) else None,
        "str_id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram_mib,
        "vcpus": flavor.vcpus,
        "disk": flavor.disk_gib,
        "ephemeral": 0,
        "links": here.links(f"flavors/{flavor.id}"),
    }
