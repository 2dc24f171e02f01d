"""Where log lines go, and how they look."""

import logging

from oslo_config import cfg
from oslo_log import log

from coffer.main import log_lines


def start(conf: cfg.ConfigOpts) -> None:
    """Set up logging as the options of oslo.log say; standard error by default."""
    if not (conf.log_file or conf.log_dir or conf.use_syslog or conf.use_journal):
        # oslo.log would take standard output, which is for what a command was asked for.
        conf.set_default("use_stderr", default=True)
    log.setup(conf, "coffer")
    logging.captureWarnings(capture=True)
    log_lines.install(conf)
