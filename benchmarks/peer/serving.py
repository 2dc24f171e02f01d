"""Upstream's API: its paste pipeline without Keystone (the caller's headers stand for it), on its own eventlet server."""

from trove.common import cfg, notification
from trove.common import wsgi
from trove.instance import models

from trove.cmd.common import initialize

import sys


def serve(port: int) -> None:
    """Serve with one worker until the process is killed, as `trove.cmd.api` does."""
    config_file = cfg.CONF.config_file[0]
    sys.argv = ["trove-api", "--config-file", config_file]
    conf = initialize()
    notification.DBaaSAPINotification.register_notify_callback(models.persist_instance_fault)
    cfg.set_api_config_defaults()
    launcher = wsgi.launch("trove", port, conf.api_paste_config, host="127.0.0.1", workers=1)
    launcher.wait()
