"""The options of messaging, those of oslo.messaging included, on whatever `ConfigOpts` the process uses."""

from oslo_config import cfg

EXCHANGE = "trove"
"""The exchange that Ceilometer listens to for Trove's notifications."""

QUIET_LOG_LEVELS = (
    "amqp=WARNING",
    "kombu=WARNING",
    "kombu.connection=ERROR",
    "oslo_messaging=INFO",
    "oslo.messaging=INFO",
    "stevedore=INFO",
)
"""For oslo.log's `default_log_levels`: below these the libraries print messages, which hold passwords."""

OPTIONS = (
    cfg.FloatOpt(
        "rpc_cast_timeout_s",
        default=5.0,
        min=0.1,
        help="Seconds after which handing a task to another service fails when the broker does not take it.",
    ),
    cfg.StrOpt(
        "rpc_topic_prefix",
        default="",
        help="Put before every RPC topic, so that several installations can share one broker's virtual host.",
    ),
    cfg.FloatOpt(
        "publish_timeout_s",
        default=10.0,
        min=0.1,
        help="Seconds to wait for the broker in any one step of publishing notifications.",
    ),
    cfg.StrOpt(
        "collector_queue",
        default="coffer-collector",
        help="The durable queue that the collector binds to the notifications' exchange.",
    ),
    cfg.BoolOpt(
        "relay_declares_collector_queue",
        default=False,
        help="Let `coffer relay` make the collector's queue, so that a collector that comes later misses "
        "nothing. Only for those who run one: without it the queue fills.",
    ),
    cfg.IntOpt(
        "collector_prefetch",
        default=500,
        min=1,
        help="How many notifications the collector takes at once, and stores in one transaction.",
    ),
)


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of messaging on `conf`; may be called twice.

    oslo.messaging registers the options of its tracing and metrics on the global configuration only, and
    fails at the first call on a private one, so they are registered here.
    """
    conf.register_opts(OPTIONS)
    from coffer.wire.transport import oslo

    oslo().register_options(conf, exchange=EXCHANGE)
