"""The options of messaging on a configuration of one's own."""

import logging

import pytest
from oslo_config import cfg
from tests.support.messaging import messaging_conf

from coffer.wire import options, transport
from coffer.wire.amqp_settings import AmqpHost, AmqpSettings


def _settings(url: str, **overrides: object) -> AmqpSettings:
    made: AmqpSettings = transport.oslo().amqp_settings(messaging_conf(url, **overrides))
    return made


def test_they_may_be_registered_twice() -> None:
    conf = cfg.ConfigOpts()
    options.register(conf)
    options.register(conf)
    conf([], project="coffer", default_config_files=[])

    assert conf.control_exchange == "trove"
    assert conf.oslo_messaging_rabbit.amqp_durable_queues is True


def test_the_global_configuration_stays_as_it_was() -> None:
    messaging_conf("rabbit://")

    assert "rpc_cast_timeout_s" not in cfg.CONF


def test_every_option_of_ours_has_help() -> None:
    assert [option.name for option in options.OPTIONS if not option.help] == []


def test_a_url_gives_its_nodes_in_order_and_its_own_options() -> None:
    query = "amqp_durable_queues=false&heartbeat_timeout_threshold=7"
    url = f"rabbit://u:p%40ss@10.0.0.1:5673,u2:p2@[::1]/vh?{query}"

    settings = _settings(url)

    assert settings.hosts == (
        AmqpHost("10.0.0.1", 5673, "u", "p@ss"),
        AmqpHost("::1", 5672, "u2", "p2"),
    )
    assert (settings.virtual_host, settings.durable, settings.heartbeat_s) == ("vh", False, 7)
    assert "p@ss" not in repr(settings)


def test_notifications_may_have_a_broker_of_their_own() -> None:
    settings = _settings(
        "rabbit://guest:guest@rpc.example/",
        oslo_messaging_notifications__transport_url="rabbit://a:b@notify.example/",
    )

    assert [host.host for host in settings.hosts] == ["notify.example"]
    assert settings.virtual_host == "/"


def test_quorum_queues_are_durable_and_declared_as_such() -> None:
    settings = _settings(
        "rabbit://",
        oslo_messaging_rabbit__rabbit_quorum_queue=True,
        oslo_messaging_rabbit__amqp_durable_queues=False,
    )

    assert settings.durable
    assert settings.queue_arguments == {"x-queue-type": "quorum"}


def test_tls_is_taken_from_the_options_of_oslo_messaging() -> None:
    assert _settings("rabbit://").tls is None
    tls = _settings(
        "rabbit://", oslo_messaging_rabbit__ssl=True, oslo_messaging_rabbit__ssl_ca_file="/etc/ca.pem"
    ).tls
    assert tls is not None
    assert tls["ca_certs"] == "/etc/ca.pem"


def test_severities_have_queues_of_their_own() -> None:
    settings = _settings("rabbit://", oslo_messaging_notifications__topics=["notifications", "billing"])

    assert settings.routing_keys("error") == ("notifications.error", "billing.error")
    assert set(settings.all_routing_keys()) == {
        "notifications.info",
        "notifications.error",
        "billing.info",
        "billing.error",
    }


@pytest.mark.parametrize("name", ["oslo_messaging", "oslo.messaging"])
def test_the_library_never_prints_messages(name: str) -> None:
    transport.oslo()

    assert logging.getLogger(name).level >= logging.INFO
