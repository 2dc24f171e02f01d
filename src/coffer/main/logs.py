"""Where log lines go, and how they look."""

import logging

from oslo_config import cfg
from oslo_log import log


def start(conf: cfg.ConfigOpts) -> None:
    """Set up logging as the options of oslo.log say; standard error by default."""
    log.setup(conf, "coffer")
    logging.captureWarnings(capture=True)
