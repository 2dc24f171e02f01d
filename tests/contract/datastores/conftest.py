"""Real database servers, one shared by the tests of a module, others of a test's own."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.instances import new_place
from tests.support.scratch import scratch, scratch_dir

from coffer.datastores.driver import EngineSettings, Place
from coffer.datastores.postgresql.driver import PostgresqlDriver
from coffer.datastores.postgresql.locator import installed_versions
from coffer.datastores.postgresql.server import Patience

__all__ = ["scratch_dir"]

VERSIONS = sorted(installed_versions(EngineSettings(engines_dir=Path("/nonexistent"))), reverse=True)
NewDriver = Callable[..., tuple[Place, PostgresqlDriver]]


def pytest_configure() -> None:
    assert VERSIONS or not os.environ.get("CI"), "no PostgreSQL on this machine"


@pytest.fixture(scope="module", params=VERSIONS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Place, PostgresqlDriver]]:
    """A prepared, running server that the tests of a module share."""
    with scratch() as root:
        place = new_place(root, version=request.param)
        driver = PostgresqlDriver(place)
        try:
            driver.prepare([], [])
            yield place, driver
        finally:
            driver.stop()


@pytest.fixture
def new_driver(scratch_dir: Path) -> Iterator[NewDriver]:
    """Makes places and drivers; their servers are stopped afterwards."""
    with ExitStack() as stack:

        def make(**changes: object) -> tuple[Place, PostgresqlDriver]:
            place = replace(new_place(scratch_dir, version=VERSIONS[0]), **changes)  # type: ignore[arg-type] # any field
            driver = PostgresqlDriver(place, Patience(start_s=30, fast_stop_s=5, immediate_stop_s=2))
            stack.callback(driver.stop)
            return place, driver

        yield make
