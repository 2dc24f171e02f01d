"""A real Keystone of a test's own: a process on the loopback, with SQLite; its people, and what they log in with."""

import http.client
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_port
from tests.support.scratch import scratch
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("keystone_server.py")
START_S = 60.0
STOP_S = 20.0
CALL_S = 20.0
ADMIN = "admin"
SERVICE_USER = "coffer"
Scope = Mapping[str, Any]
JSON = dict[str, Any]


class KeystoneRefused(Exception):  # noqa: N818 — what it says
    """Keystone answered with 400 or above."""


def keystone_python() -> Path:
    """Return the Python that has Keystone; without one skip, or fail where CI is set."""
    venv = Path(os.environ.get("COFFER_KEYSTONE_VENV", ROOT / ".venv-keystone"))
    python = venv / "bin" / "python"
    if python.exists():
        return python
    reason = f"no Keystone: {venv} is missing (make setup, or set COFFER_KEYSTONE_VENV)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Keystone:
    """The server below `root`, and an administrator's way to it."""

    root: Path
    port: int = field(default_factory=free_port)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    """By user."""
    ids: dict[str, str] = field(default_factory=dict)
    """Of users and projects, by name."""
    _process: "subprocess.Popen[bytes] | None" = None
    _admin_token: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}/v3"

    @property
    def log(self) -> Path:
        """What it writes."""
        return self.root / "keystone.log"

    def start(self) -> None:
        """Set the server up, and wait until it answers."""
        self.passwords[ADMIN] = secrets.token_urlsafe(12)
        with self.log.open("wb") as log:
            # -P: this file stands beside the server and would be what it imports as `keystone`.
            self._process = subprocess.Popen(
                [keystone_python(), "-P", SERVER, self.root, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self.passwords[ADMIN]}\n".encode())
        self._process.stdin.close()
        wait_for(self._is_up, START_S, "Keystone to answer", poll_s=0.1)
        self._admin_token = self.token(ADMIN, project=ADMIN)

    def stop(self) -> None:
        """End the server, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nobody get an answer meanwhile: the kernel takes connections, the server does not."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.thaw()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> JSON:
        """Send a request below /v3, as the administrator unless `token` says otherwise; return the answer's body.

        Raises:
            KeystoneRefused: with what it said.
        """
        return self._send(method, path, body, {"X-Auth-Token": token or self._admin_token})[0]

    def add_project(self, name: str) -> None:
        """Make a project."""
        self.ids[name] = self.ask("POST", "/projects", {"project": {"name": name}})["project"]["id"]

    def add_user(self, name: str, *, roles: Mapping[str, str]) -> None:
        """Make a user with a password of his own and one role in each project of `roles`."""
        self.passwords[name] = secrets.token_urlsafe(12)
        body = {"user": {"name": name, "password": self.passwords[name]}}
        self.ids[name] = self.ask("POST", "/users", body)["user"]["id"]
        for project, role in roles.items():
            self.grant(f"/projects/{self.ids[project]}", name, role)

    def grant(self, where: str, user: str, role: str) -> None:
        """Give a user a role in a project, a domain or the system."""
        (found,) = self.ask("GET", f"/roles?name={role}")["roles"]
        self.ask("PUT", f"{where}/users/{self.ids[user]}/roles/{found['id']}")

    @contextmanager
    def catalogued(self, service_type: str, url: str) -> Iterator[None]:
        """Have a service in the catalogue meanwhile; `%(tenant_id)s` in its URL is the project of whoever asks."""
        name = secrets.token_hex(4)
        service = self.ask("POST", "/services", {"service": {"type": service_type, "name": name}})["service"]
        endpoint = {"interface": "public", "url": url, "service_id": service["id"], "region_id": "RegionOne"}
        self.ask("POST", "/endpoints", {"endpoint": endpoint})
        yield
        self.ask("DELETE", f"/services/{service['id']}")

    def token(self, user: str, *, project: str | None = None, scope: Scope | None = None) -> str:
        """Log in by password: to a project, to another `scope`, or without one."""
        who = {"name": user, "domain": {"id": "default"}, "password": self.passwords[user]}
        identity = {"methods": ["password"], "password": {"user": who}}
        if project is not None:
            scope = {"project": {"name": project, "domain": {"id": "default"}}}
        return self._log_in(identity, scope or "unscoped")

    def credential(self, user: str, project: str, **restrictions: object) -> JSON:
        """Make an application credential of a user's; return its id and secret."""
        body = {"application_credential": {"name": secrets.token_hex(4), **restrictions}}
        path = f"/users/{self.ids[user]}/application_credentials"
        made: JSON = self.ask("POST", path, body, token=self.token(user, project=project))
        return {name: made["application_credential"][name] for name in ("id", "secret")}

    def credential_token(self, credential: JSON) -> str:
        """Log in by an application credential."""
        identity = {"methods": ["application_credential"], "application_credential": credential}
        return self._log_in(identity, None)

    def revoke(self, token: str) -> None:
        """Make a token worth nothing."""
        self._send(
            "DELETE", "/auth/tokens", None, {"X-Auth-Token": self._admin_token, "X-Subject-Token": token}
        )

    def login(self, user: str, project: str, *, password: str | None = None) -> tuple[str, ...]:
        """Return the options by which `openstack` logs in."""
        options = {
            "auth-type": "password",
            "auth-url": self.url,
            "username": user,
            "password": password or self.passwords[user],
            "project-name": project,
            "user-domain-id": "default",
            "project-domain-id": "default",
            "region-name": "RegionOne",
        }
        return tuple(f"--os-{name}={value}" for name, value in options.items())

    def options(self) -> dict[str, dict[str, object]]:
        """Return coffer's configuration for it, by group; it asks once."""
        return {
            "DEFAULT": {"auth_strategy": "keystone"},
            "keystone_authtoken": {
                "www_authenticate_uri": self.url,
                "auth_type": "password",
                "auth_url": self.url,
                "username": SERVICE_USER,
                "password": self.passwords[SERVICE_USER],
                "user_domain_id": "default",
                "project_name": "service",
                "project_domain_id": "default",
                "http_request_max_retries": 0,
            },
        }

    def _log_in(self, identity: object, scope: Scope | str | None) -> str:
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        _, token = self._send("POST", "/auth/tokens", {"auth": auth}, {})
        assert token is not None
        return token

    def _send(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[JSON, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CALL_S)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/v3{path}", sent, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            content = response.read()
            if response.status >= 400:
                raise KeystoneRefused(
                    f"{method} {path}: {response.status} {content.decode(errors='replace')}"
                )
            return json.loads(content) if content else {}, response.getheader("X-Subject-Token")
        finally:
            connection.close()

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (
            f"Keystone ended:\n{self.log.read_text(errors='replace')[-4000:]}"
        )
        try:
            self._send("GET", "", None, {})
        except (OSError, http.client.HTTPException):
            return False
        return True


def in_iso(moment: datetime) -> str:
    """Return a moment as Keystone reads it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


@contextmanager
def running_keystone() -> Iterator[Keystone]:
    """Start a Keystone with the user by which coffer asks it; nothing of it stays behind."""
    with scratch() as root:
        made = Keystone(root)
        try:
            made.start()
            made.add_project("service")
            made.add_user(SERVICE_USER, roles={"service": "service"})
            yield made
        finally:
            made.stop()
