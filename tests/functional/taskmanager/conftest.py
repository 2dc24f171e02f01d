"""A control plane a test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases import sqlite_template, sqlite_url
from tests.support.plane import Plane

__all__ = ["sqlite_template", "sqlite_url"]


@pytest.fixture
def plane(sqlite_url: str, tmp_path: Path) -> Iterator[Plane]:
    """A control plane on an empty database."""
    with Plane(sqlite_url, tmp_path / "cloud") as opened:
        yield opened


@pytest.fixture
def new_id() -> str:
    """The id of an instance that a test creates by itself."""
    return str(uuid.uuid4())
