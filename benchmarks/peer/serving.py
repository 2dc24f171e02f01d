"""Upstream's API: its paste pipeline without Keystone (the caller's headers stand for it), on its eventlet server."""

import sys
from typing import Any

import routes
from trove.cmd.common import initialize
from trove.common import cfg, notification, policy, wsgi
from trove.db import get_db_api
from trove.instance import models

DATASTORES = {
    "datastores": [
        {
            "id": "4aee3fed-057c-5263-91e2-38a1f7893844",
            "name": "postgresql",
            "default_version": "b13219f7-84b2-53bb-88cf-75d7a4de77d0",
            "versions": [{"id": "b13219f7-84b2-53bb-88cf-75d7a4de77d0", "name": "17", "links": []}],
            "links": [],
        }
    ]
}


class FromMemory(wsgi.Controller):
    """Lists the datastores without its database, which would cost most of the time: what is measured is the stack."""

    def index(self, req: Any, tenant_id: str) -> wsgi.Result:
        """Check the policy as upstream's own controller does, and answer."""
        del tenant_id
        policy.authorize_on_tenant(req.environ[wsgi.CONTEXT_KEY], "datastore:index")
        return wsgi.Result(DATASTORES, 200)


def app_factory(_global: dict[str, str], **_local: str) -> wsgi.Router:
    """Stand at the end of upstream's pipeline in place of its table of routes."""
    mapper = routes.Mapper()
    mapper.connect("/{tenant_id}/datastores", controller=FromMemory().create_resource(), action="index")
    return wsgi.Router(mapper)


def serve(port: int) -> None:
    """Serve with one worker until the process is killed, as `trove.cmd.api` does."""
    get_db_api().db_sync(cfg.CONF)
    config_file = cfg.CONF.config_file[0]
    sys.argv = ["trove-api", "--config-file", config_file]
    conf = initialize()
    notification.DBaaSAPINotification.register_notify_callback(models.persist_instance_fault)
    cfg.set_api_config_defaults()
    launcher = wsgi.launch("trove", port, conf.api_paste_config, host="127.0.0.1", workers=1)
    launcher.wait()
