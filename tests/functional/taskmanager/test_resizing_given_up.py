"""A resize that was given up halfway, and another one that began since: what is billed is what is given."""

from typing import Any

import pytest
from tests.support.plane import PATIENCE_S, Plane
from tests.support.waiting import wait_for

from coffer.clouds.local.guest_config import GuestConfig

FLAVOR: Any = {"flavorRef": "2"}
OTHER_FLAVOR: Any = {"flavorRef": "3"}
VOLUME: Any = {"volume": {"size": 3}}


def billed(plane: Plane, instance_id: str) -> tuple[int, int | None]:
    """Return MiB and GiB as the row has them."""
    row = plane.instance(instance_id)
    return row.ram_mib, row.volume_gib


def given(plane: Plane, instance_id: str) -> tuple[int, int | None]:
    """Return MiB and GiB as the cloud has them."""
    config = GuestConfig.load(plane.local_cloud.layout.guest_dir(instance_id))
    return config.ram_mib, config.volume_gib


@pytest.mark.parametrize(
    ("first", "second", "step"),
    [(FLAVOR, VOLUME, "resize"), (VOLUME, FLAVOR, "resize_volume"), (FLAVOR, OTHER_FLAVOR, "resize")],
    ids=["flavor, then volume", "volume, then flavor", "flavor, then another flavor"],
)
def test_what_was_given_up_is_not_kept_when_another_size_is_on_its_way(
    plane: Plane, first: object, second: object, step: str
) -> None:
    instance_id = plane.active()
    path = f"/instances/{instance_id}/action"
    server = plane.server(instance_id)

    def meanwhile() -> None:
        server.before.clear()
        assert plane.call("POST", path, {"reset_status": {}})[0] == 202
        assert plane.call("POST", path, {"resize": second})[0] == 202

    server.before[step] = meanwhile
    assert plane.call("POST", path, {"resize": first})[0] == 202
    wait_for(lambda: "trove.instance.modify" in plane.told()[-1], PATIENCE_S, "the second one to end")

    wait_for(
        lambda: given(plane, instance_id) == billed(plane, instance_id),
        5,
        "what is given to be what is billed",
    )
    assert sum(name.endswith(".error") for name in plane.told()) == 1
