"""A tenant with the field's own client, python-troveclient as it comes, and with a PostgreSQL client."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from keystoneauth1 import noauth, session, token_endpoint
from tests.support.waiting import wait_for

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # python-troveclient imports eventlet, which announces its end
    from troveclient.apiclient import exceptions
    from troveclient.v1 import client

BUILD_S = 120.0
POLL_S = 0.05
Refused = exceptions.HttpError
"""What the client raises for an answer of 400 and above; it has `http_status` and `message`."""


class Tenant:
    """Somebody of one project. `api` is the client itself."""

    def __init__(self, url: str, project: str = "acme", *, token: str | None = None) -> None:
        """Talk to the control plane at `url`; without Keystone, unless with a token of its."""
        endpoint = f"{url}/v1.0/{project}"
        auth = noauth.NoAuth(endpoint=endpoint) if token is None else token_endpoint.Token(endpoint, token)
        self.project = project
        self.api = client.Client(
            session=session.Session(auth=auth),
            endpoint_override=endpoint,
            service_type="database",
        )

    def create(
        self, name: str = "books", *, databases: Sequence[str] = (), users: Mapping[str, str] | None = None
    ) -> str:
        """Ask for an instance and return its id. `users` are passwords by name, with access to all databases."""
        made = self.api.instances.create(
            name,
            "1",
            volume={"size": 1},
            datastore="postgresql",
            databases=[{"name": each} for each in databases],
            users=[
                {"name": user, "password": password, "databases": [{"name": each} for each in databases]}
                for user, password in (users or {}).items()
            ],
        )
        return str(made.id)

    def create_active(
        self, *, databases: Sequence[str] = ("shop",), users: Mapping[str, str] | None = None
    ) -> str:
        """Create an instance and wait until it serves."""
        instance_id = self.create(databases=databases, users=users)
        self.wait_for(instance_id, "ACTIVE")
        return instance_id

    def show(self, instance_id: str) -> dict[str, Any]:
        """Return what the API shows of an instance."""
        shown: dict[str, Any] = self.api.instances.get(instance_id).to_dict()
        return shown

    def wait_for(self, instance_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until the status of an instance is one of these; return the instance."""

        def reached() -> dict[str, Any] | None:
            shown = self.show(instance_id)
            if shown["status"] in statuses:
                return shown
            assert shown["status"] != "ERROR", f"instance {instance_id} failed: {shown.get('fault')}"
            return None

        found = wait_for(
            reached, BUILD_S, f"instance {instance_id} to be {' or '.join(statuses)}", poll_s=POLL_S
        )
        assert found is not None
        return found

    def wait_for_server(self, instance_id: str, operating_status: str) -> None:
        """Wait until the guest says this of its server."""
        wait_for(
            lambda: self.show(instance_id)["operating_status"] == operating_status,
            BUILD_S,
            f"the server of {instance_id} to be {operating_status}",
            poll_s=POLL_S,
        )

    def wait_until_gone(self, instance_id: str) -> None:
        """Wait until the API knows the instance no more."""
        wait_for(
            lambda: self.status_of(instance_id) == "gone",
            BUILD_S,
            f"instance {instance_id} to be gone",
            poll_s=POLL_S,
        )

    def status_of(self, instance_id: str) -> str:
        """Return the status of an instance, `gone` if there is none."""
        try:
            return str(self.show(instance_id)["status"])
        except exceptions.NotFound:
            return "gone"

    def log_in(
        self, instance_id: str, *, database: str, user: str, password: str
    ) -> "psycopg.Connection[tuple[Any, ...]]":
        """Open a session on the server of an instance, with nothing but what the API shows of it."""
        shown = self.show(instance_id)
        return psycopg.connect(
            host=shown["ip"][0],
            port=shown["port"],
            dbname=database,
            user=user,
            password=password,
            connect_timeout=10,
            autocommit=True,
        )

    def wait_until_it_takes(self, instance_id: str, *, database: str, user: str, password: str) -> None:
        """Wait until the server of an instance lets a user in."""

        def lets_in() -> bool:
            with (
                suppress(psycopg.OperationalError),
                self.log_in(instance_id, database=database, user=user, password=password),
            ):
                return True
            return False

        wait_for(lets_in, BUILD_S, f"the server of {instance_id} to let {user} in", poll_s=POLL_S)
