"""Tenants who do whatever comes to their minds with their instances, over HTTP, several at a time.

Nothing that they ask for needs to be sensible: what cannot be is refused, and that is part of it. What must never
happen is that the control plane has no word for what went wrong.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.support.standalone import Standalone
from tests.support.waiting import wait_for

Asked = tuple[str, str, object]
"""Method, path below the project, body."""

SERVED_S = 60.0
STILL_S = 20.0
POLL_S = 0.05
CALL_S = 200.0
AT_REST = frozenset({"ACTIVE", "RESTART_REQUIRED", "ERROR", "gone"})
PATIENCE = 0.85
"""How often a client waits for what he began; else he meddles with what is under way."""
SENSE = 0.9
"""How often he asks for what could be, where that is seldom."""
NOBODY = "00000000-0000-4000-8000-000000000000"


class Cut(Exception):  # noqa: N818 - what happened, caught where the call is made
    """Nobody answered: the control plane is being killed, or is dead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered."""

    status: int
    body: Any


class Project:
    """One tenant's door to whichever control plane runs now."""

    def __init__(self, coffer: Standalone, name: str) -> None:
        """Call as the project `name`."""
        self.name = name
        self._coffer = coffer

    def call(self, method: str, path: str, body: object = None) -> Answer:
        """Make a call.

        Raises:
            Cut: if there is no answer.
        """
        try:
            there = urlsplit(self._coffer.url)
            connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=CALL_S)
            try:
                text = None if body is None else json.dumps(body)
                headers = {"Content-Type": "application/json"}
                connection.request(method, f"/v1.0/{self.name}{path}", text, headers)
                response = connection.getresponse()
                content = response.read()
            finally:
                connection.close()
        except (OSError, KeyError, http.client.HTTPException) as error:
            raise Cut from error
        return Answer(response.status, json.loads(content) if content else None)

    def wait_until_served(self) -> None:
        """Wait until somebody answers."""

        def answers() -> bool:
            try:
                return self.call("GET", "/limits").status == http.HTTPStatus.OK
            except Cut:
                return False

        wait_for(answers, SERVED_S, "the control plane to answer", poll_s=POLL_S)

    def listed(self, path: str, kind: str) -> list[dict[str, Any]]:
        """Return what there is of something."""
        answer = self.call("GET", path)
        assert answer.status == http.HTTPStatus.OK, answer
        found: list[dict[str, Any]] = answer.body[kind]
        return found

    def instances(self) -> list[dict[str, Any]]:
        """Return the tenant's instances."""
        return self.listed("/instances/detail", "instances")

    def state(self, instance_id: str) -> str:
        """Return the state of an instance, `gone` if there is none."""
        answer = self.call("GET", f"/instances/{instance_id}")
        return (
            "gone" if answer.status == http.HTTPStatus.NOT_FOUND else str(answer.body["instance"]["status"])
        )


@dataclass
class Diary:
    """What all clients did and how it was answered; shared by them."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    horrors: list[str] = field(default_factory=list)
    """Answers that no client should ever see, and what broke a client."""
    cuts: int = 0

    def __str__(self) -> str:
        """Return it as lines: a call, then how often it was answered how."""
        names = sorted({name for name, _ in self.answers})
        lines = [
            f"{name:20}"
            + "  ".join(f"{status}×{n}" for (who, status), n in sorted(self.answers.items()) if who == name)  # noqa: RUF001
            for name in names
        ]
        return "\n".join([*lines, f"cut short: {self.cuts}"])


class RandomClient(threading.Thread):
    """Does random things until `until` (monotonic), in the name of a project."""

    def __init__(self, project: Project, rng: random.Random, diary: Diary, *, until: float) -> None:
        super().__init__(name=f"client-{project.name}", daemon=True)
        self._project = project
        self._rng = rng
        self._diary = diary
        self._until = until

    def run(self) -> None:
        """Act, and note what went wrong with ourselves."""
        self._project.wait_until_served()
        while time.monotonic() < self._until:
            name = self._rng.choices(list(ACTS), [weight for weight, _ in ACTS.values()])[0]
            try:
                self._act(name)
            except Cut:
                self._diary.cuts += 1
                self._project.wait_until_served()
            except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
                self._diary.horrors.append(f"{name}: {error!r}")

    def _act(self, name: str) -> None:
        method, path, body = ACTS[name][1](self._project, self._rng)
        answer = self._project.call(method, path, body)
        self._diary.answers[name, answer.status] += 1
        text = json.dumps(answer.body)
        if (
            "The control plane failed" in text
            or not answer.status < http.HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        ):
            self._diary.horrors.append(f"{name} {method} {path} {json.dumps(body)}: {answer.status} {text}")
        if self._rng.random() < PATIENCE:
            self._wait_until_still()

    def _wait_until_still(self) -> None:
        """Wait until none of the tenant's instances is busy; not for long, others keep them so."""
        deadline = min(self._until, time.monotonic() + STILL_S)
        wait_for(
            lambda: (
                time.monotonic() > deadline
                or all(each["status"] in AT_REST for each in self._project.instances())
            ),
            STILL_S + 5,
            "the instances to be still",
            poll_s=POLL_S,
        )


# --- what comes to a tenant's mind ----------------------------------------------------------------------


def _instance(
    project: Project, rng: random.Random, like: Callable[[Mapping[str, Any]], bool] = lambda _: True
) -> str:
    """Return one of the tenant's instances; mostly one that could be meant."""
    found = project.instances()
    sensible = [each for each in found if like(each)]
    chosen = sensible if sensible and rng.random() < SENSE else found
    return str(rng.choice(chosen)["id"]) if chosen else NOBODY


def _is_replica(instance: Mapping[str, Any]) -> bool:
    return "replica_of" in instance


def _is_alone(instance: Mapping[str, Any]) -> bool:
    return not _is_replica(instance) and instance["status"] == "ACTIVE"


def _is_dead_source(instance: Mapping[str, Any]) -> bool:
    return "replicas" in instance and instance["operating_status"] != "HEALTHY"


def _one_of(project: Project, rng: random.Random, path: str, kind: str) -> str:
    found = project.listed(path, kind)
    return str(rng.choice(found)["id"]) if found else NOBODY


def _backup(project: Project, rng: random.Random) -> str:
    return _one_of(project, rng, "/backups", "backups")


def _group(project: Project, rng: random.Random) -> str:
    return _one_of(project, rng, "/configurations", "configurations")


def _database(rng: random.Random) -> str:
    return f"d{rng.randrange(4)}"


def _user(rng: random.Random) -> str:
    return f"u{rng.randrange(4)}"


def _new(rng: random.Random, **more: object) -> Asked:
    asked = {
        "name": f"i{rng.randrange(1000)}",
        "flavorRef": rng.choice("12"),
        "volume": {"size": rng.randint(1, 2)},
        "datastore": {"type": "postgresql"},
        **more,
    }
    return "POST", "/instances", {"instance": asked}


def _replica(project: Project, rng: random.Random) -> Asked:
    asked = {
        "name": f"r{rng.randrange(1000)}",
        "flavorRef": "1",
        "replica_of": _instance(project, rng, _is_alone),
        "replica_count": rng.choice((1, 1, 2)),
    }
    return "POST", "/instances", {"instance": asked}


def _action(
    project: Project,
    rng: random.Random,
    body: object,
    like: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> Asked:
    return "POST", f"/instances/{_instance(project, rng, like)}/action", body


def _set(project: Project, rng: random.Random, body: object) -> Asked:
    return "PUT", f"/instances/{_instance(project, rng)}", {"instance": body}


def _below(project: Project, rng: random.Random, method: str, path: str, body: object = None) -> Asked:
    return method, f"/instances/{_instance(project, rng)}/{path}", body


def _some(
    rng: random.Random, make: Callable[[random.Random], str], **more: object
) -> list[dict[str, object]]:
    return [{"name": name, **more} for name in sorted({make(rng) for _ in range(rng.randint(1, 3))})]


def _values(rng: random.Random) -> dict[str, object]:
    """Return parameters that count at once, that need a restart, that nobody takes."""
    return dict(
        rng.sample(
            [
                ("work_mem", f"{rng.randint(1, 9)}MB"),
                ("random_page_cost", rng.randint(1, 4)),
                ("max_connections", rng.randint(30, 40)),
                ("TimeZone", rng.choice(("UTC", "UTC", "Mars/Olympus"))),
                ("work_mem", "-3MB"),
            ],
            rng.choices((1, 2), (3, 1))[0],
        )
    )


def _new_group(rng: random.Random) -> Asked:
    datastore = {"type": "postgresql"}
    asked = {"name": f"g{rng.randrange(1000)}", "values": _values(rng), "datastore": datastore}
    return "POST", "/configurations", {"configuration": asked}


def _new_backup(project: Project, rng: random.Random) -> Asked:
    asked = {"name": "b", "instance": _instance(project, rng), "incremental": rng.randint(0, 1)}
    return "POST", "/backups", {"backup": asked}


Act = Callable[[Project, random.Random], Asked]

ACTS: Mapping[str, tuple[float, Act]] = {
    "create": (2, lambda _, rng: _new(rng, databases=[{"name": "d0"}])),
    "restore": (1, lambda p, rng: _new(rng, restorePoint={"backupRef": _backup(p, rng)})),
    "replicate": (4, _replica),
    "restart": (3, lambda p, rng: _action(p, rng, {"restart": {}})),
    "resize flavor": (3, lambda p, rng: _action(p, rng, {"resize": {"flavorRef": rng.choice("12")}})),
    "resize volume": (2, lambda p, rng: _action(p, rng, {"resize": {"volume": {"size": rng.randint(1, 4)}}})),
    "promote": (2, lambda p, rng: _action(p, rng, {"promote_to_replica_source": {}}, _is_replica)),
    "eject": (5, lambda p, rng: _action(p, rng, {"eject_replica_source": {}}, _is_dead_source)),
    "detach replica": (
        1,
        lambda p, rng: (
            "PUT",
            f"/instances/{_instance(p, rng, _is_replica)}",
            {"instance": {"replica_of": None}},
        ),
    ),
    "reset status": (0.5, lambda p, rng: _action(p, rng, {"reset_status": {}})),
    "delete": (3, lambda p, rng: ("DELETE", f"/instances/{_instance(p, rng)}", None)),
    "attach": (2, lambda p, rng: _set(p, rng, {"configuration": _group(p, rng)})),
    "detach": (1, lambda p, rng: _set(p, rng, {"configuration": None})),
    "create group": (2, lambda _, rng: _new_group(rng)),
    "update group": (
        1,
        lambda p, rng: (
            "PUT",
            f"/configurations/{_group(p, rng)}",
            {"configuration": {"values": _values(rng)}},
        ),
    ),
    "edit group": (
        1,
        lambda p, rng: (
            "PATCH",
            f"/configurations/{_group(p, rng)}",
            {"configuration": {"values": _values(rng)}},
        ),
    ),
    "delete group": (0.5, lambda p, rng: ("DELETE", f"/configurations/{_group(p, rng)}", None)),
    "back up": (3, _new_backup),
    "delete backup": (1, lambda p, rng: ("DELETE", f"/backups/{_backup(p, rng)}", None)),
    "create databases": (
        3,
        lambda p, rng: _below(p, rng, "POST", "databases", {"databases": _some(rng, _database)}),
    ),
    "delete database": (2, lambda p, rng: _below(p, rng, "DELETE", f"databases/{_database(rng)}")),
    "create users": (
        3,
        lambda p, rng: _below(
            p, rng, "POST", "users", {"users": _some(rng, _user, password="tiger", databases=[])}
        ),
    ),
    "delete user": (2, lambda p, rng: _below(p, rng, "DELETE", f"users/{_user(rng)}")),
    "update user": (
        1,
        lambda p, rng: _below(p, rng, "PUT", f"users/{_user(rng)}", {"user": {"name": _user(rng)}}),
    ),
    "change passwords": (
        1,
        lambda p, rng: _below(p, rng, "PUT", "users", {"users": _some(rng, _user, password="lion")}),
    ),
    "grant": (
        2,
        lambda p, rng: _below(
            p, rng, "PUT", f"users/{_user(rng)}/databases", {"databases": _some(rng, _database)}
        ),
    ),
    "revoke": (
        1,
        lambda p, rng: _below(p, rng, "DELETE", f"users/{_user(rng)}/databases/{_database(rng)}"),
    ),
}
"""By name: how often, and the call."""
