"""What an operator reads when the broker has something else than we are configured for."""

import pytest

from coffer.wire.mismatch import explain


def _refusal(arg: str, kind: str, name: str, received: str, current: str) -> str:
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{arg}' for {kind} '{name}' in vhost '/': "
        f"received {received} but current is {current}"
    )


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        (
            _refusal("durable", "exchange", "trove", "'true'", "'false'"),
            ["exchange trove", "durable = false", "durable = true", "amqp_durable_queues"],
        ),
        (
            _refusal("x-queue-type", "queue", "n.info", "none", "the value 'quorum' of type 'longstr'"),
            ["queue n.info", "x-queue-type = quorum", "x-queue-type = none", "rabbit_quorum_queue"],
        ),
        (
            _refusal("x-max-length", "queue", "q", "none", "the value '5' of type 'long'"),
            ["queue q", "x-max-length = 5", "alike"],
        ),
        ("PRECONDITION_FAILED - unknown delivery tag 3", ["unknown delivery tag 3"]),
    ],
)
def test_it_names_what_differs_and_the_option(reply: str, parts: list[str]) -> None:
    explained = explain(reply)

    assert [part for part in parts if part not in explained] == []
