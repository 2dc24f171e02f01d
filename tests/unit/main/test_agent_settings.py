"""What agents are told of the configuration, and what not."""

from pathlib import Path

from coffer.main.agent_settings import agent_settings
from coffer.main.settings import GROUPS, load

SECRETS = """
[DEFAULT]
transport_url = rabbit://coffer:hush-broker@broker/
report_interval = 3.5
rpc_topic_prefix = north$$.
[database]
connection = postgresql://coffer:hush-database@db/coffer
[collector]
connection = postgresql://coffer:hush-collector@db/events
[guests]
secrets = hush-secret,hush-older
broker_management_url = https://coffer:hush-management@broker
[oslo_messaging_notifications]
transport_url = rabbit://coffer:hush-notifications@other/
[oslo_messaging_rabbit]
ssl = true
ssl_ca_file = /etc/ssl/ca.pem
ssl_key_file = /etc/coffer/hush.key
ssl_cert_file = /etc/coffer/hush.pem
[engines]
bin_dirs = /opt/a,/opt/b
"""


def test_an_agent_is_told_how_it_is_set_up_and_no_secret(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "coffer.conf", tmp_path / "agent.conf"
    ours.write_text(SECRETS)
    text = agent_settings(load([ours]), tmp_path)
    theirs.write_text(text)
    told = load([theirs])
    assert "hush" not in text
    assert (told.report_interval, told.rpc_topic_prefix) == (3.5, "north$.")
    assert (told.oslo_messaging_rabbit.ssl, told.oslo_messaging_rabbit.ssl_ca_file) == (
        True,
        "/etc/ssl/ca.pem",
    )
    assert told.engines.bin_dirs == ["/opt/a", "/opt/b"]
    assert told.backups.root == str(tmp_path / "backups")
    assert told.database.connection is None


def test_no_secret_option_is_among_those_that_agents_are_told(tmp_path: Path) -> None:
    conf = load([])
    for group, options in GROUPS:
        for option in options:
            if option.secret:
                conf.set_override(option.dest, ["hush"] if option.multi else "hush", group=group)
    assert "hush" not in agent_settings(conf, tmp_path)
