"""What an agent that is a process of its own is told of our configuration: a list of options, none of them a secret.

It becomes the agent's `agent.conf`. What is not named here an agent does not know: above all no database, no account
but its own, and no certificate of ours.
"""

from pathlib import Path

from oslo_config import cfg

_NAMES: tuple[tuple[str | None, tuple[str, ...]], ...] = (
    (
        None,
        (
            *("debug", "use_json", "default_log_levels", "logging_context_format_string"),
            *("logging_default_format_string", "logging_exception_prefix"),
            *("control_exchange", "rpc_topic_prefix", "rpc_cast_timeout_s", "publish_timeout_s"),
            *("report_interval",),
        ),
    ),
    (
        "oslo_messaging_rabbit",
        (
            *("ssl", "ssl_version", "ssl_ca_file", "rabbit_login_method", "heartbeat_timeout_threshold"),
            *("amqp_durable_queues", "amqp_auto_delete", "rabbit_quorum_queue"),
        ),
    ),
    ("local_cloud", ("min_free_gib",)),
    ("upgrade_levels", ("conductor",)),
    ("engines", ("bin_dirs", "initialising_account")),
)


def agent_settings(conf: cfg.ConfigOpts, root: Path) -> str:
    """Return the text of `agent.conf`; the instances live below `root`."""
    lines: list[str] = []
    for group, names in _NAMES:
        values = conf if group is None else conf[group]
        lines += ["", f"[{group or 'DEFAULT'}]"]
        lines += [f"{name} = {_text(values[name])}" for name in names if values[name] is not None]
    lines += ["", "[backups]", f"root = {_text(conf.backups.root or root.resolve() / 'backups')}", ""]
    return "\n".join(lines).lstrip()


def _text(value: object) -> str:
    """Return a value as oslo.config reads it from a file, where a dollar stands for another option."""
    words = value if isinstance(value, list) else [value]
    return ",".join(str(word) for word in words).replace("$", "$$")
