"""One RabbitMQ node for all contract tests of messaging; what one test breaks is mended before the next."""

from collections.abc import Iterator

import pytest
from tests.support.rabbitmq import RabbitNode, started_node


@pytest.fixture(scope="session")
def rabbit_session() -> Iterator[RabbitNode]:
    with started_node(has_management=True) as node:
        yield node


@pytest.fixture
def rabbit(rabbit_session: RabbitNode) -> RabbitNode:
    rabbit_session.revive()
    return rabbit_session
