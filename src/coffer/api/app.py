"""The WSGI application: the route table, mounted; every call is guarded and answered the same way."""

import re
from collections import defaultdict
from collections.abc import Callable

import falcon

from coffer.api import errors
from coffer.api.body import body_of
from coffer.api.call import Answer, Call
from coffer.api.context import RequestIdentity, identified
from coffer.api.errors import App
from coffer.api.health import health_answer
from coffer.api.paging import query_of
from coffer.api.routes import PROJECT, ROUTES, Route
from coffer.api.services import Services
from coffer.api.unbuilt import missing_calls, sentence_of
from coffer.api.validation import only_member
from coffer.api.versions import versions_answer
from coffer.api.views.links import Here
from coffer.catalogue.errors import BadRequest, NotBuilt
from coffer.wire import json as wire_json

__all__ = ["HEALTH", "App", "build_app"]

Responder = Callable[..., None]
BELOW_PROJECT = re.compile(r"/v1\.0/(?P<project_id>[^/]+)")
HEALTH = "/healthz"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def build_app(services: Services) -> App:
    """Return the application that serves the whole route table from `services`."""
    app = falcon.App(middleware=[RequestIdentity()], media_type=falcon.MEDIA_JSON)
    app.req_options.strip_url_path_trailing_slash = True
    errors.install(app, challenge=services.authenticator.challenge)
    app.add_route("/", _Resource(GET=_versions))
    app.add_route("/v1.0", _Resource(GET=_version))
    app.add_route(HEALTH, _Resource(GET=_health(services), HEAD=_health(services)))
    for path, responders in _responders(services).items():
        app.add_route(PROJECT + path, _Resource(**responders))
    app.add_sink(_unknown(services), "/")
    return app


def _responders(services: Services) -> dict[str, dict[str, Responder]]:
    """Return what serves each path below the project, by method."""
    routes: dict[tuple[str, str], list[Route]] = defaultdict(list)
    for route in ROUTES:
        routes[route.path, route.method].append(route)
    by_path: dict[str, dict[str, Responder]] = defaultdict(dict)
    for (path, method), choices in routes.items():
        by_path[path][method] = _responder(services, choices)
    for missing in missing_calls():
        if missing.path not in by_path:
            # Nothing is served there: the other methods are not wrong, they are missing as well.
            by_path[missing.path] = {
                method: _refusal(services, sentence_of(method, missing.path)) for method in METHODS
            }
        by_path[missing.path][missing.method] = _refusal(services, missing.what)
    return by_path


class _Resource:
    """What Falcon wants at a path: an object with an `on_<method>` for each method that it serves."""

    def __init__(self, **responders: Responder) -> None:
        for method, responder in responders.items():
            setattr(self, f"on_{method.lower()}", responder)


def _responder(services: Services, routes: list[Route]) -> Responder:
    """Return what serves one path and method; of several routes the body's single member chooses."""

    def respond(req: falcon.Request, resp: falcon.Response, *, project_id: str, **params: str) -> None:
        ctx = identified(req, project_id, services.authenticator)
        body = body_of(req, limit=services.settings.body_limit_bytes) if req.method in BODY_METHODS else b""
        route = _chosen(routes, body)
        services.policy.require(route.rule, ctx)
        call = Call(
            services=services,
            ctx=ctx,
            here=Here(base_url=_base_url(req), project_id=project_id),
            path=req.path,
            params=params,
            query=query_of(req.query_string),
            body=body,
        )
        _send(resp, route.handler(call))

    return respond


def _chosen(routes: list[Route], body: bytes) -> Route:
    """Return the route that the body means.

    Raises:
        BadRequest: if the body names no action, or more than one.
        NotBuilt: if nobody serves that action.
    """
    if len(routes) == 1 and routes[0].action is None:
        return routes[0]
    action = only_member(body)
    if action is None:
        raise BadRequest(
            reason="The body must be a JSON object with exactly one member, the name of the action."
        )
    chosen = {route.action: route for route in routes}
    if action in chosen:
        return chosen[action]
    below = [name for name in chosen if name is not None and name.startswith(f"{action}.")]
    if not below:
        raise NotBuilt(what=f"The action {action}")
    wanted = f"{action}.{only_member(body, action)}"
    if wanted not in below:
        needed = " or ".join(name.partition(".")[2] for name in below)
        raise BadRequest(reason=f"{action}: needs exactly one member, {needed}.")
    return chosen[wanted]


def _refusal(services: Services, what: str) -> Responder:
    """Return what answers a call that is known and not built yet."""

    def respond(req: falcon.Request, _resp: falcon.Response, *, project_id: str, **_params: str) -> None:
        identified(req, project_id, services.authenticator)
        raise NotBuilt(what=what)

    return respond


def _unknown(services: Services) -> Responder:
    """Return what answers every path that no route has."""

    def respond(req: falcon.Request, _resp: falcon.Response, **_params: str) -> None:
        match = BELOW_PROJECT.match(req.path)
        if match is not None:
            identified(req, match["project_id"], services.authenticator)
        raise NotBuilt(what=sentence_of(req.method, req.path))

    return respond


def _health(services: Services) -> Responder:
    """Return what answers whoever balances load, who has no account."""

    def respond(_req: falcon.Request, resp: falcon.Response) -> None:
        _send(resp, health_answer(services.checks))

    return respond


def _versions(req: falcon.Request, resp: falcon.Response) -> None:
    _send(resp, versions_answer(_base_url(req), alone=False))


def _version(req: falcon.Request, resp: falcon.Response) -> None:
    _send(resp, versions_answer(_base_url(req), alone=True))


def _base_url(req: falcon.Request) -> str:
    return f"{req.scheme}://{req.netloc}"


def _send(resp: falcon.Response, answer: Answer) -> None:
    resp.status = answer.status
    if answer.body is not None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = wire_json.dumps(answer.body)
