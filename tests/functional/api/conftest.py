"""A fresh world a test."""

from collections.abc import Iterator

import pytest
from tests.functional.api.world import World
from tests.support.databases import sqlite_template, sqlite_url

__all__ = ["sqlite_template", "sqlite_url"]


@pytest.fixture(autouse=True)
def _events_are_as_declared(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No call of any test may announce something else than the catalogue says."""
    yield
    assert "payload is not as declared" not in caplog.text


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    """The API on an empty database; nobody listens behind it until a test says so."""
    with World(sqlite_url) as opened:
        yield opened
