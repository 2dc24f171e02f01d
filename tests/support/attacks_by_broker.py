"""Attacks on the broker with a guest's account: each must be refused by the broker itself, with an error."""

from collections.abc import Callable
from typing import Any

import amqp
from tests.support.rogue import CONDUCTOR, EXCHANGE, Rogue

BrokerAttack = Callable[[Rogue, str], object]
"""Gets the attacker and the id of its victim."""

ORDER = (
    b'{"oslo.version": "2.0", "oslo.message": "{\\"method\\": \\"delete_instance\\", \\"version\\": \\"1.0\\",'
    b' \\"args\\": {\\"instance_id\\": \\"%s\\"}, \\"namespace\\": null, \\"_context_is_admin\\": true}"}'
)
"""What an API would cast to a taskmanager."""


def _on(work: Callable[[Any], object]) -> BrokerAttack:
    def attack(rogue: Rogue, victim: str) -> None:
        del victim
        with rogue.channel() as channel:
            work(channel)

    return attack


def _to(exchange: str, key: str) -> BrokerAttack:
    def attack(rogue: Rogue, victim: str) -> None:
        rogue.publish(ORDER % victim.encode(), exchange=exchange, key=key.format(victim=victim))

    return attack


def _its_own(work: Callable[[Any, str], object]) -> BrokerAttack:
    def attack(rogue: Rogue, victim: str) -> None:
        del victim
        with rogue.channel() as channel:
            work(channel, rogue.queue)

    return attack


def _too_many(rogue: Rogue, victim: str, *, left: int = 40) -> None:
    with rogue.channel():
        if left:
            _too_many(rogue, victim, left=left - 1)


def _in_the_name_of(rogue: Rogue, victim: str) -> None:
    rogue.publish(b"{}", user_id=f"guest-{victim}")


def _elsewhere(rogue: Rogue, victim: str) -> None:
    del victim
    with rogue.channel(virtual_host="elsewhere"):
        pass


def _as_the_victim(rogue: Rogue, victim: str) -> None:
    with rogue.channel(user=f"guest-{victim}"):
        pass


def _read(queue: str) -> BrokerAttack:
    def attack(rogue: Rogue, victim: str) -> None:
        with rogue.channel() as channel:
            channel.basic_get(queue.format(victim=victim), no_ack=True)

    return attack


REFUSED = (amqp.AccessRefused, amqp.NotAllowed, amqp.PreconditionFailed, amqp.ResourceError, ConnectionError)

BY_BROKER: dict[str, BrokerAttack] = {
    "declares a queue": _on(lambda channel: channel.queue_declare("mine", auto_delete=False)),
    "declares a queue that the broker names": _on(lambda channel: channel.queue_declare("", exclusive=True)),
    "declares its own queue otherwise": _its_own(
        lambda channel, queue: channel.queue_declare(queue, durable=False)
    ),
    "deletes its own queue": _its_own(lambda channel, queue: channel.queue_delete(queue)),
    "deletes the conductor's queue": _on(lambda channel: channel.queue_delete(CONDUCTOR)),
    "deletes the guests' exchange": _on(lambda channel: channel.exchange_delete(EXCHANGE)),
    "deletes the exchange of notifications": _on(lambda channel: channel.exchange_delete("trove")),
    "declares an exchange": _on(
        lambda channel: channel.exchange_declare("mine", "fanout", auto_delete=False)
    ),
    "binds its queue to all": _its_own(lambda channel, queue: channel.queue_bind(queue, "trove", "#")),
    "binds all to its exchange": _on(lambda channel: channel.exchange_bind(EXCHANGE, "trove", "#")),
    "binds its exchange to all": _on(lambda channel: channel.exchange_bind("trove", EXCHANGE, "#")),
    "unbinds the conductor": _on(lambda channel: channel.queue_unbind(CONDUCTOR, EXCHANGE, CONDUCTOR)),
    "empties the conductor's queue": _on(lambda channel: channel.queue_purge(CONDUCTOR)),
    "consumes from the conductor's queue": _on(lambda channel: channel.basic_consume(CONDUCTOR)),
    "reads the taskmanagers' queue": _read("trove-taskmanager"),
    "reads notifications": _read("notifications.info"),
    "reads another guest's queue": _read("guestagent.{victim}"),
    "publishes to taskmanagers by the default exchange": _to("", "trove-taskmanager"),
    "publishes notifications by the default exchange": _to("", "notifications.info"),
    "publishes to another guest by the default exchange": _to("", "guestagent.{victim}"),
    "publishes to the collector by the default exchange": _to("", "coffer-collector"),
    "publishes to taskmanagers": _to("trove", "trove-taskmanager"),
    "publishes notifications": _to("trove", "notifications.info"),
    "publishes errors": _to("trove", "notifications.error"),
    "publishes to another guest": _to("trove", "guestagent.{victim}"),
    "publishes where answers are awaited": _to("trove", "coffer-answers.00000000000000000000000000000000"),
    "publishes to taskmanagers by its own exchange": _to(EXCHANGE, "trove-taskmanager"),
    "publishes to a headers exchange of the broker": _to("amq.match", CONDUCTOR),
    "publishes in another one's name": _in_the_name_of,
    "goes to another virtual host": _elsewhere,
    "logs in as another guest": _as_the_victim,
    "takes all connections": _too_many,
}
