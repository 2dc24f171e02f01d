"""A control plane of the test's own."""

from collections.abc import Iterator

import pytest
from tests.support.standalone import Standalone, standalone


@pytest.fixture
def coffer() -> Iterator[Standalone]:
    """A running `coffer standalone` on a new directory; its servers and files are gone afterwards."""
    with standalone() as running:
        yield running
