"""Calls about configuration groups, as tests of several modules make them."""

from typing import Any

from tests.support.control_plane import ControlPlane


def group_of(control: ControlPlane, name: str = "fast", **values: object) -> str:
    asked = {"name": name, "values": values, "datastore": {"type": "postgresql", "version": "17"}}
    status, body = control.call("POST", "/configurations", {"configuration": asked})
    assert status == 200, body
    return str(body["configuration"]["id"])


def change(control: ControlPlane, method: str, group_id: str, **values: object) -> tuple[int, Any]:
    return control.call(method, f"/configurations/{group_id}", {"configuration": {"values": values}})


def attach(control: ControlPlane, instance_id: str, group_id: str | None) -> tuple[int, Any]:
    return control.call("PUT", f"/instances/{instance_id}", {"instance": {"configuration": group_id}})


def status_of(control: ControlPlane, instance_id: str) -> str:
    return str(control.show(instance_id)["status"])
