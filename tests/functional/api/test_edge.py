"""What holds for every call: ids, errors, bodies however framed, who may call, what is not built."""

import io
import json
import logging
import re

import pytest
from falcon import testing
from tests.functional.api.world import PROJECT, World

from coffer.api.auth import Identity
from coffer.api.unbuilt import missing_calls
from coffer.catalogue.operations import OPERATIONS

LIMIT = 114_688
JSON_TYPE = {"Content-Type": "application/json", "Host": "127.0.0.1"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/flavors"), ("GET", "/instances/x"), ("PUT", "/limits"), ("GET", "/nothing")],
)
def test_every_answer_has_one_request_id_under_both_names(world: World, method: str, path: str) -> None:
    replies = [world.call(method, path, headers={"X-Openstack-Request-Id": "req-mine"}) for _ in range(2)]

    ids = {reply.headers["x-openstack-request-id"] for reply in replies}
    assert len(ids) == 2
    for reply in replies:
        assert re.fullmatch(r"req-[0-9a-f-]{36}", reply.headers["x-openstack-request-id"])
        assert reply.headers["x-compute-request-id"] == reply.headers["x-openstack-request-id"]


def test_the_event_has_the_id_that_the_caller_saw(world: World) -> None:
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/action", {"restart": {}})

    seen = {event.payload["request_id"] for event in world.events()}
    assert seen == {reply.headers["x-openstack-request-id"]}
    assert {event.context["request_id"] for event in world.events()} == seen


MALFORMED = [
    ("nothing", b"", "body"),
    ("blanks", b"  \n", "body"),
    ("no JSON", b"restart", "not valid JSON"),
    ("half of it", b'{"databases": [', "not valid JSON"),
    ("two of them", b'{"databases": []}{}', "not valid JSON"),
    ("not UTF-8", b'{"databases": [{"name": "\xff"}]}', "not valid JSON"),
    ("half a surrogate pair", b'{"databases": [{"name": "\\ud800"}]}', "not valid JSON"),
    ("a list", b"[]", "expected object"),
    ("null", b"null", "expected object"),
    ("a number too large for anybody", b'{"databases": ' + b"9" * 5000 + b"}", "databases"),
    ("nested for ever", b'{"databases": ' + b"[" * 50_000, "databases"),
    ("an unknown member", b'{"databases": [{"name": "a"}], "more": 1}', "more"),
]


@pytest.mark.parametrize(("raw", "word"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_malformed_body_is_told_so(world: World, raw: bytes, word: str) -> None:
    instance = world.has()

    reply = world.call("POST", f"/instances/{instance.id}/databases", raw=raw)

    assert (reply.status, reply.title) == (400, "badRequest")
    assert word in reply.message
    assert world.events() == []


@pytest.mark.parametrize("path", ["/instances", "/instances/{id}/action"])
@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 20_000])
def test_deep_nesting_is_told_so(world: World, path: str, raw: bytes) -> None:
    assert world.call("POST", path, raw=raw).status == 400


def test_a_body_over_the_limit_is_refused_without_a_time_to_retry(world: World) -> None:
    reply = world.call("POST", "/instances", raw=b'{"instance": {"name": "' + b"x" * LIMIT + b'"}}')

    assert (reply.status, reply.title) == (413, "overLimit")
    assert "retry-after" not in {name.lower() for name in reply.headers}


def test_a_body_of_the_limit_is_read(world: World) -> None:
    raw = b'{"instance": {"name": ""}}'

    reply = world.call("POST", "/instances", raw=raw + b" " * (LIMIT - len(raw)))

    assert "instance.name" in reply.message


def framed(world: World, body: bytes, **environ: object) -> tuple[int, str]:
    """Send a body whose framing lies, past the test client, which would put it right; return status and sentence."""
    env = testing.create_environ(path=f"/v1.0/{PROJECT}/instances", method="POST", headers=JSON_TYPE)
    env |= {"REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(body), **environ}
    answer = testing.StartResponseMock()
    (error,) = json.loads(b"".join(world.client.app(env, answer))).values()
    assert answer.status is not None
    return int(answer.status.split()[0]), error["message"]


@pytest.mark.parametrize(
    ("what", "environ", "status", "word"),
    [
        ("longer than it is", {"CONTENT_LENGTH": "500"}, 400, "shorter than its Content-Length"),
        ("shorter than it is", {"CONTENT_LENGTH": "5"}, 400, "not valid JSON"),
        ("no number", {"CONTENT_LENGTH": "many"}, 400, "Content-Length"),
        ("negative", {"CONTENT_LENGTH": "-5"}, 400, "Content-Length"),
        ("beyond the limit", {"CONTENT_LENGTH": "999999999999"}, 413, "larger than"),
        ("not told, chunked", {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, 400, "instance.name"),
        ("not told at all", {"CONTENT_LENGTH": ""}, 400, "body"),
    ],
)
def test_a_length_that_lies_is_survived(
    world: World, what: str, environ: dict[str, object], status: int, word: str
) -> None:
    told = framed(world, b'{"instance": {"name": ""}}', **environ)

    assert told[0] == status, what
    assert word in told[1]


def test_a_chunked_body_over_the_limit_is_refused(world: World) -> None:
    status, _ = framed(world, b" " * (LIMIT + 1), CONTENT_LENGTH="", **{"wsgi.input_terminated": True})

    assert status == 413


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(world: World, content_type: str) -> None:
    reply = world.call("POST", "/instances", {"instance": {}}, headers={"Content-Type": content_type})

    assert (reply.status, reply.title) == (415, "badMediaType")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/flavors"), ("POST", "/limits"), ("DELETE", "/instances"), ("PATCH", "/instances/detail")],
)
def test_a_method_that_a_resource_does_not_know_is_told_so(world: World, method: str, path: str) -> None:
    reply = world.call(method, path, {} if method != "DELETE" else None)

    assert (reply.status, reply.title) == (405, "badMethod")
    assert "GET" in reply.headers["allow"]


UNBUILT = [operation.rest.split(" ") for operation in OPERATIONS.values() if not operation.built]
UNBUILT += [[missing.method, "/v1.0/{project_id}" + missing.path] for missing in missing_calls()]
UNBUILT += [
    ["GET", "/v1.0/{project_id}/backup_strategies"],
    ["GET", "/v1.0/{project_id}/clusters"],
    ["GET", "/v1.0/{project_id}/modules"],
    ["GET", "/v1.0/{project_id}/mgmt/clusters"],
    ["POST", "/v1.0/{project_id}/mgmt/instances/x/action"],
    ["GET", "/v1.0/{project_id}"],
    ["GET", "/v1.0/{project_id}/no/such/thing"],
    ["GET", "/v2/whatever"],
]


@pytest.mark.parametrize(("method", "path"), UNBUILT)
def test_what_is_not_built_says_so(world: World, method: str, path: str) -> None:
    bodies: dict[str, object] = {
        "/action": {"promote_to_replica_source": {}},
        "/instances/{instance_id}": {"instance": {"replica_of": None}},
    }
    body = next((body for end, body in bodies.items() if path.endswith(end)), {})
    instance = world.has()
    path = path.replace("{project_id}", PROJECT).replace("{instance_id}", instance.id)

    result = world.client.simulate_request(
        method,
        path,
        headers=JSON_TYPE,
        json=body if method in {"POST", "PUT", "PATCH"} else None,
        extras={"REMOTE_ADDR": "127.0.0.1"},
    )

    assert result.status_code == 501
    ((title, error),) = json.loads(result.content).items()
    assert title == "notImplemented"
    assert error["message"].endswith("is not implemented.")
    assert world.events() == []


def test_a_missing_operation_is_called_by_its_name(world: World) -> None:
    reply = world.call("POST", "/clusters", {"cluster": {}})

    assert reply.message == "The operation cluster_create is not implemented."


@pytest.mark.parametrize("remote", ["10.0.0.5", "", "nonsense", "::2"])
def test_without_authentication_only_the_loopback_is_served(world: World, remote: str) -> None:
    reply = world.call("GET", "/flavors", REMOTE_ADDR=remote)

    assert (reply.status, reply.title) == (403, "forbidden")
    assert world.call("GET", "/no/such/thing", REMOTE_ADDR=remote).status == 403
    assert world.call("DELETE", "/instances/x/root", REMOTE_ADDR=remote).status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8779", 200),
        ("127.0.0.1", 200),
        ("[::1]:8779", 200),
        ("coffer.localhost", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8779", 403),
    ],
)
def test_a_name_that_somebody_pointed_to_us_is_not_ours(world: World, host: str, status: int) -> None:
    assert world.call("GET", "/flavors", headers={"Host": host}).status == status


@pytest.mark.parametrize("project", ["a b", "p" * 65, "%0a", "ä"])
def test_a_project_that_cannot_be_one_is_refused(world: World, project: str) -> None:
    assert world.call("GET", "/flavors", project=project).status == 400


def test_a_user_id_is_taken_from_its_header(world: World) -> None:
    world.start_taskmanager()
    body = {"instance": {"name": "shop", "flavorRef": "1", "volume": {"size": 1}}}

    ann = world.call("POST", "/instances", body, headers={"X-User-Id": "ann"}).body["instance"]["id"]
    nobody = world.call("POST", "/instances", body).body["instance"]["id"]

    assert (world.row(ann).user_id, world.row(nobody).user_id) == ("ann", "noauth")
    assert world.call("GET", "/flavors", headers={"X-User-Id": "a b"}).status == 400


def test_who_may_only_look_cannot_change(sqlite_url: str) -> None:
    with World(sqlite_url, roles=("reader",)) as world:
        instance = world.has()

        assert world.call("GET", f"/instances/{instance.id}").status == 200
        reply = world.call("DELETE", f"/instances/{instance.id}")

        assert (reply.status, reply.title) == (403, "forbidden")
        assert "instance:delete" in reply.message
        assert world.events() == []


def test_who_has_no_role_cannot_even_look(sqlite_url: str) -> None:
    with World(sqlite_url, roles=()) as world:
        assert world.call("GET", "/instances").status == 403


class ActsForOne:
    """An authenticator whose callers act for one project, whatever the URL says."""

    challenge = None

    def identify(self, environ: object, project_id: str) -> Identity:
        return Identity(user_id="ann", project_id="project-2", roles=("admin",))


def test_another_projects_url_is_forbidden_to_admins_too(sqlite_url: str) -> None:
    with World(sqlite_url, authenticator=ActsForOne()) as world:
        assert world.call("GET", "/flavors").status == 403
        assert world.call("GET", "/flavors", project="project-2").status == 200


class Broken:
    """A cloud that breaks in a way that nobody foresaw."""

    def flavors(self) -> list[object]:
        raise RuntimeError("connection string password=hunter2 is wrong")


def test_the_unforeseen_is_logged_once_and_not_told(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with World(sqlite_url, cloud=Broken()) as world:
        reply = world.call("GET", "/flavors")

    assert (reply.status, reply.title) == (500, "instanceFault")
    assert reply.headers["x-openstack-request-id"] in reply.message
    assert "connection string" not in reply.message
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "RuntimeError" in errors[0].getMessage()
    assert "hunter2" not in caplog.text


def test_a_database_that_is_away_is_told_so(world: World) -> None:
    path = world.database.name.removeprefix("sqlite:")
    world.database.close()
    with open(path, "r+b") as file:  # noqa: PTH123
        file.truncate(0)

    reply = world.call("GET", "/instances")

    assert reply.status in {500, 503}
    assert "SELECT" not in reply.message
