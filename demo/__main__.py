"""Create, use, refuse, restart, delete: everything real, everything announced."""

import json
import secrets
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import psycopg
from keystoneauth1 import noauth, session
from rich.console import Console

from demo.announcements import Announcements, runs_of, table_of
from demo.client import Client
from demo.standalone import standalone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # python-troveclient imports eventlet, which announces its end
    from troveclient.v1 import client

PROJECT = "demo"


def main() -> int:
    """Tell the story; 0 only if every run began and ended exactly once, in order."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with standalone() as coffer:
        console.print(f"coffer listens on [bold]{coffer.url}[/], its state is in {coffer.state_dir}")
        announcements = Announcements(coffer.state_dir, console)
        try:
            story(
                Client(f"{coffer.url}/v1.0/{PROJECT}", lambda line: console.print(f"\n{line}", style="bold")),
                console,
            )
            announcements.wait_until_every_run_ended()
        finally:
            announcements.stop()
    return verdict(announcements, console, time.monotonic() - began)


def chapter(console: Console, title: str) -> None:
    """Begin the next part of the story."""
    console.print()
    console.rule(title, align="left")


def story(openstack: Client, console: Console) -> None:
    """Do what a tenant does."""
    password = secrets.token_urlsafe(12)
    chapter(console, "an instance with a database and a user")
    created = openstack.run(
        *("instance", "create", "books", "--flavor", "1", "--size", "1", "--datastore", "postgresql"),
        *("--databases", "shop", "--users", f"alice:{password}", "-f", "json"),
        secret=password,
    )
    instance_id = json.loads(created)["id"]
    instance = openstack.wait_for_status(instance_id, "ACTIVE")
    write_a_row(instance, password, console)

    chapter(console, "two databases in one call: two runs")
    two_databases(openstack.endpoint, instance_id, console)

    chapter(console, "a call that must fail: the database is there already")
    refusal = openstack.run("db", "create", instance_id, "orders", fails=True)
    console.print(f"refused: {refusal}", style="red")

    chapter(console, "restart")
    openstack.run("instance", "restart", instance_id)
    write_a_row(openstack.wait_for_status(instance_id, "ACTIVE"), password, console)

    chapter(console, "delete")
    openstack.run("instance", "delete", instance_id)
    wait_until_gone(openstack, instance_id)


def write_a_row(instance: dict[str, Any], password: str, console: Console) -> None:
    """Connect to the real server as the tenant's user, write a row and read all of them."""
    address = instance["addresses"][0]["address"] if instance.get("addresses") else instance["ip"]
    with psycopg.connect(
        host=address, port=instance["port"], dbname="shop", user="alice", password=password
    ) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS sales (id serial, sold_at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO sales DEFAULT VALUES")
        row = connection.execute("SELECT count(*), version() FROM sales").fetchone()
    assert row is not None
    console.print(f"alice wrote a row over SQL; {row[0]} in the table now. {row[1].split(' on ')[0]}")


def two_databases(url: str, instance_id: str, console: Console) -> None:
    """Create two databases in one call: python-troveclient can, the command line makes a call for each."""
    console.print(
        "\n>>> client.databases.create(instance, [{'name': 'orders'}, {'name': 'stock'}])", style="bold"
    )
    api = session.Session(auth=noauth.NoAuth(endpoint=url))
    trove = client.Client(session=api, endpoint_override=url, service_type="database")
    trove.databases.create(instance_id, [{"name": "orders"}, {"name": "stock"}])
    wait_for(
        lambda: {"orders", "stock"} <= {each.name for each in trove.databases.list(instance_id)}, "databases"
    )


def wait_until_gone(openstack: Client, instance_id: str) -> None:
    """Wait until the instance is no longer listed."""
    wait_for(lambda: instance_id not in openstack.run("instance", "list", "-f", "json"), "the deletion")


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Wait until `condition` is true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {timeout_s} s for {what} in vain")
        time.sleep(0.1)


def verdict(announcements: Announcements, console: Console, took_s: float) -> int:
    """Print the runs and judge them."""
    runs = runs_of(announcements.events)
    console.print()
    console.print(table_of(runs))
    wrong = [run for run in runs if not run.in_order]
    if wrong or not runs:
        console.print(
            f"{len(wrong)} of {len(runs)} runs did not begin and end exactly once", style="bold red"
        )
        return 1
    console.print(
        f"{len(runs)} runs, {len(announcements.events)} announcements: "
        f"each run began once and ended once. {took_s:.0f} s.",
        style="bold green",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
