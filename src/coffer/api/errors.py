"""Errors as Trove's clients read them: `{"itemNotFound": {"code": 404, "message": "..."}}`.

No answer has a Retry-After header: the client of the field crashes on it with any status but 413.
"""

import logging
import traceback
from collections.abc import Callable

import falcon

from coffer.catalogue.errors import CofferError, Unauthorized
from coffer.catalogue.masking import mask_secrets
from coffer.catalogue.trace import bounded
from coffer.store.errors import StoreUnavailable
from coffer.wire import json as wire_json

LOG = logging.getLogger(__name__)

MESSAGE_LIMIT = 512
"""Characters; a message may quote what the caller sent, and that may be long."""

TITLES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflict",
    411: "badRequest",
    413: "overLimit",
    415: "badMediaType",
    422: "unprocessableEntity",
    501: "notImplemented",
    503: "serviceUnavailable",
    504: "gatewayTimeout",
}
SENTENCES = {
    405: "The resource does not know this method.",
    415: "The body must be JSON, with Content-Type: application/json.",
}


App = falcon.App[falcon.Request, falcon.Response]


def install(app: App, *, challenge: str | None = None) -> None:
    """Let `app` answer every failure in Trove's form; `challenge` says where one logs in who has not."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _http_error)
    app.add_error_handler(CofferError, _coffer_error)
    app.add_error_handler(Unauthorized, _challenging(challenge))
    app.add_error_handler(StoreUnavailable, _database_away)


def _answer(resp: falcon.Response, status: int, title: str, message: str) -> None:
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = wire_json.dumps({title: {"code": status, "message": bounded(message, MESSAGE_LIMIT)}})


def _coffer_error(_req: falcon.Request, resp: falcon.Response, error: CofferError, _params: object) -> None:
    _answer(resp, error.status, error.title, error.message)


def _challenging(challenge: str | None) -> Callable[..., None]:
    def answer(req: falcon.Request, resp: falcon.Response, error: CofferError, params: object) -> None:
        _coffer_error(req, resp, error, params)
        if challenge is not None:
            resp.set_header("WWW-Authenticate", challenge)

    return answer


def _database_away(
    req: falcon.Request, resp: falcon.Response, error: StoreUnavailable, _params: object
) -> None:
    request_id: str = req.context.request_id
    LOG.error("request failed request_id=%s method=%s reason=%s", request_id, req.method, error)
    _answer(resp, 503, TITLES[503], "The control plane cannot reach its database; try again later.")


def _http_error(
    _req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: object
) -> None:
    status = falcon.http_status_to_code(error.status)
    message = SENTENCES.get(status) or error.description or error.title or "The request cannot be served."
    _answer(resp, status, TITLES.get(status, "instanceFault"), message)
    allowed = dict(error.headers or {}).get("Allow")
    if allowed is not None:
        resp.set_header("Allow", allowed)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, _params: object) -> None:
    """Answer what nobody foresaw: the caller learns the request id, the log has the rest, once."""
    request_id: str = req.context.request_id
    trace = mask_secrets("".join(traceback.format_exception(error)))
    LOG.error("request failed request_id=%s method=%s trace=%s", request_id, req.method, trace)
    _answer(resp, 500, CofferError.title, f"{CofferError.template} ({request_id})")
