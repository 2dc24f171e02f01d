"""A fresh world a test."""

from collections.abc import Iterator

import pytest
from tests.functional.api.world import World
from tests.support.databases import sqlite_template, sqlite_url

__all__ = ["sqlite_template", "sqlite_url"]


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """The API on an empty database; nobody listens behind it until a test says so."""
    with World(sqlite_url) as opened:
        yield opened
