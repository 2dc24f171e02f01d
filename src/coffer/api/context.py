"""The edge of every request: its id, its caller, its address; and one line in the log when it is over."""

import logging
import re
import time
from collections.abc import Callable, Mapping

import falcon

from coffer.api.auth import Authenticator
from coffer.api.request_ids import new_request_id
from coffer.catalogue.errors import BadRequest, Forbidden
from coffer.wire.context import TroveContext

LOG = logging.getLogger(__name__)

AFTERWARDS = "coffer.afterwards"
"""In the environment of a call: takes what is to be done once the call is answered."""

PROJECT_ID = re.compile(r"[A-Za-z0-9._~@:-]{1,64}")


class RequestIdentity:
    """Falcon middleware that names each request and says the name in each answer.

    The id is always ours, never the client's: events are found and counted by it. The field's client looks
    for it in x-compute-request-id, everything else in x-openstack-request-id; so it stands in both.
    """

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Give the request its id."""
        request_id = new_request_id()
        req.context.request_id = request_id
        # Made now, or the log lines of this request would name the one that this thread served before.
        req.context.caller = TroveContext(request_id=request_id)
        req.context.began = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _req_succeeded: bool
    ) -> None:
        """Say the id, log the request; after the answer, where the server can do that."""
        ctx: TroveContext = req.context.caller
        resp.set_header("x-openstack-request-id", ctx.request_id)
        resp.set_header("x-compute-request-id", ctx.request_id)
        duration_ms = (time.monotonic() - req.context.began) * 1000
        status = falcon.http_status_to_code(resp.status)

        def log() -> None:
            # Meanwhile this thread may have begun to serve others.
            ctx.update_store()
            LOG.info(
                "request method=%s path=%r status=%s duration_ms=%.1f request_id=%s",
                req.method,
                req.path,
                status,
                duration_ms,
                ctx.request_id,
            )

        afterwards: Callable[[Callable[[], None]], object] | None = req.env.get(AFTERWARDS)
        if afterwards is None:
            log()
        else:
            afterwards(log)


def client_address(environ: Mapping[str, object]) -> str:
    """Return `ip:port` of the client from the socket; port 0 where the server does not tell it.

    A proxy's headers are not believed here; a proxy of the operator's own rewrites REMOTE_ADDR before us.
    """
    address = str(environ.get("REMOTE_ADDR") or "unknown")
    port = str(environ.get("REMOTE_PORT") or "0")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def identified(req: falcon.Request, project_id: str, authenticator: Authenticator) -> TroveContext:
    """Return the context of an authenticated request for the project of its URL.

    Raises:
        BadRequest: if the project id of the URL cannot be one.
        CofferError: what the authenticator raised.
        Forbidden: if the caller acts for another project. As in Trove, that holds for admins too.
    """
    if not PROJECT_ID.fullmatch(project_id):
        raise BadRequest(
            reason="The project id in the URL must have 1 to 64 letters, digits or any of . _ ~ @ : -"
        )
    identity = authenticator.identify(req.env, project_id)
    if identity.project_id != project_id:
        raise Forbidden(rule="project_of_the_url")
    ctx: TroveContext = req.context.caller
    ctx.project_id, ctx.user_id, ctx.roles = project_id, identity.user_id, list(identity.roles)
    ctx.client_ip = client_address(req.env)
    return ctx
