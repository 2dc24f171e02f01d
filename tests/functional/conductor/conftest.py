"""A control plane a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.conductor.door import Door, put
from tests.support.databases import sqlite_template, sqlite_url
from tests.support.plane import Plane

from coffer.store.instances import Instance

__all__ = ["sqlite_template", "sqlite_url"]


@pytest.fixture
def plane(sqlite_url: str, tmp_path: Path) -> Iterator[Plane]:
    """A control plane on an empty database."""
    with Plane(sqlite_url, tmp_path / "cloud") as opened:
        yield opened


@pytest.fixture
def door(plane: Plane) -> Door:
    """The guests' door of the control plane."""
    return Door(plane)


@pytest.fixture
def instance(plane: Plane) -> Instance:
    """An instance that is ACTIVE; its guest is the test."""
    return put(plane)
