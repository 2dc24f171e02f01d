"""`/healthz`, for whoever balances load: no login, no secrets, no doubt."""

from dataclasses import replace

from falcon import testing
from tests.functional.api.world import World

from coffer.api.app import build_app
from coffer.api.services import Check

WELL: dict[str, Check] = {"database": lambda: None, "broker": lambda: None}


def client(world: World, **checks: Check) -> testing.TestClient:
    return testing.TestClient(build_app(replace(world.services, checks={**WELL, **checks})))


def test_who_is_well_says_so_to_anybody(world: World) -> None:
    reply = client(world).simulate_get("/healthz", headers={"Host": "balancer.example"})
    assert (reply.status_code, reply.json) == (
        200,
        {"status": "ok", "checks": {"database": {"status": "ok"}, "broker": {"status": "ok"}}},
    )
    head = client(world).simulate_head("/healthz")
    assert (head.status_code, head.text) == (200, "")


def test_who_is_not_says_why(world: World) -> None:
    reply = client(world, broker=lambda: "The broker does not answer.").simulate_get("/healthz")
    assert (reply.status_code, reply.json) == (
        503,
        {
            "status": "unavailable",
            "checks": {
                "database": {"status": "ok"},
                "broker": {"status": "unavailable", "reason": "The broker does not answer."},
            },
        },
    )
    assert client(world, broker=lambda: "It is away.").simulate_head("/healthz").status_code == 503
