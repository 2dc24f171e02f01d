"""What announcing adds to a call that changes something: `POST …/action`, in process, announced and not announced."""

import io
import json
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any

from benchmarks.exists import instance
from benchmarks.lab import Lab
from benchmarks.measuring import Goal, Result, Sample, Variant, compared, interleave, timed
from coffer.api.app import build_app
from coffer.catalogue.operations import ServerType
from coffer.clouds.local.launcher import ProcessLauncher, guest_command
from coffer.clouds.local.layout import Layout
from coffer.lifecycle.announcer import Announcement, Announcer
from coffer.main.parts import Site, rpc_of
from coffer.main.settings import load
from coffer.store import instances
from coffer.store.outbox import OutboxRow
from coffer.wire.contracts import TASKMANAGER

CALLS = 80
BODY = json.dumps({"restart": {}}).encode()


class Silent(Announcer):
    """Announces nothing."""

    def sealed(self, _announcements: Sequence[Announcement], _now: object) -> list[OutboxRow]:
        """Return no row."""
        return []


def measure(lab: Lab, rounds: int) -> Result:
    """Compare on both databases; the task is cast over RabbitMQ, where nobody takes it."""
    rows = []
    for kind in ("SQLite", "PostgreSQL"):
        site = _site(lab, kind)
        loud, silent = (
            Variant(name, partial(_posted, site, _application(site, name))) for name in ("loud", "silent")
        )
        interleave([loud, silent], rounds)
        rows.append(
            compared(
                "POST …/action (restart), to its answer",
                f"{kind}: announced, against not announced",
                Goal(1.2),
                loud,
                silent,
            )
        )
    return Result(rows)


def _site(lab: Lab, kind: str) -> Site:
    conf = load([lab.coffer_config(f"action-{kind}", lab.database_url(kind))])
    cleanup: ExitStack = lab.stack.enter_context(ExitStack())
    from coffer.store.database import Database

    database = Database(conf.database.connection)
    cleanup.callback(database.close)
    site = Site(
        conf=conf, database=database, rpc=rpc_of(conf, cleanup), root=lab.folder / f"action-{kind}", port=1
    )
    nobody = SimpleNamespace(**dict.fromkeys(TASKMANAGER.methods, _nothing))
    server = TASKMANAGER.server(site.rpc, server="bench", endpoint=nobody)
    server.start()
    server.stop(5)  # its queue stays
    return site


def _application(site: Site, name: str) -> Any:
    lifecycle = site.lifecycle(ServerType.API)
    if name == "silent":
        lifecycle.announcer = Silent(lifecycle.announcer.emitter)
    launcher = ProcessLauncher(Layout(site.root.resolve()).instances, guest_command([]))
    return build_app(site.services(lifecycle, site.cloud(launcher), site.datastores()))


def _posted(site: Site, application: Any) -> Sample:
    made = [instance(number, project_id="shop") for number in range(CALLS)]
    with site.database.writing() as tx:
        for each in made:
            instances.insert(tx, each)
    statuses: list[str] = []

    def work() -> int:
        for each in made:
            environ = _environ(f"/v1.0/shop/instances/{each.id}/action")
            b"".join(application(environ, lambda status, *_: statuses.append(status)))
        return CALLS

    sample = timed(work)
    assert set(statuses) == {"202 Accepted"}, set(statuses)
    return sample


def _environ(path: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_USER_ID": f"user-{uuid.uuid4()}",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _nothing(_context: object, **_arguments: object) -> None:
    """Take a task and leave it."""
