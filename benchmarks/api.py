"""What the API costs before any work: a trivial read, through upstream's stack and through ours, asked by wrk."""

import re
import subprocess
import urllib.request
from functools import partial

from tests.support.deployment import COFFER
from tests.support.ports import free_port
from tests.support.waiting import wait_for

from benchmarks.lab import PEER, Lab
from benchmarks.measuring import Goal, Result, Row, Sample, Variant, compared, interleave
from benchmarks.peer import WORKER

CONNECTIONS = (8, 32)
"""Eight keep upstream's process busy, and ours for three quarters of its time: it waits for the next call."""
SECONDS = 2
START_S = 240.0
HEADERS = {"X-Tenant-Id": "shop", "X-Auth-Token": "t", "X-Role": "member,reader", "X-User-Id": "alice"}
READ = "/v1.0/shop/datastores"
BESIDE = "/"
"""The versions of the API, which upstream serves without its pipeline: no reading of its stack, so without a goal."""


def measure(lab: Lab, rounds: int) -> Result:
    """Compare one process of upstream's API with one of ours."""
    theirs, ours = _peer(lab), _coffer(lab)
    for url in (theirs, ours):
        for path in (READ, BESIDE):
            wait_for(partial(_answers, url + path), START_S, url)
    rows = [_compared(theirs, ours, READ, connections, rounds) for connections in CONNECTIONS]
    beside = _compared(theirs, ours, BESIDE, CONNECTIONS[0], rounds)
    stack = (
        "Upstream's API runs its paste pipeline (CORS, request id, proxy, faults, profiler, authorization, context, "
        "rate limits out of reach, extensions) without Keystone on its eventlet server; ours runs as `coffer api` "
        "with `noauth`. Both log a line a request."
    )
    without = (
        f"For the versions of the API, which upstream serves without its pipeline, it is {beside.figure:.1f} times as "
        f"many ({beside.behind})."
    )
    return Result(rows, notes=[stack, without])


def _compared(theirs: str, ours: str, path: str, connections: int, rounds: int) -> Row:
    pair = [Variant(url, partial(_asked, url + path, connections)) for url in (theirs, ours)]
    interleave(pair, rounds)
    return compared(
        "API, one process",
        f"requests a second for the datastores of a project, from memory on both sides, {connections} connections, "
        "against upstream's stack",
        Goal(10, at_least=True),
        pair[1],
        pair[0],
        is_speed=True,
    )


def _peer(lab: Lab) -> str:
    pipeline = (PEER / "etc/trove/api-paste.ini").read_text().replace("authtoken ", "")
    paste = lab.folder / "paste.ini"
    paste.write_text(pipeline.replace("trove.common.api:app_factory", "serving:app_factory"))
    limits = dict.fromkeys(("http_get_rate", "http_post_rate"), 10**9)
    config = lab.peer_config("api", api_paste_config=paste, admin_roles="admin", **limits)
    port = free_port()
    lab.run("peer-api", PEER / "bin/python", WORKER, config, "serve", port)
    return f"http://127.0.0.1:{port}"


def _coffer(lab: Lab) -> str:
    port = free_port()
    config = lab.coffer_config("api", lab.database_url("SQLite"), api={"bind_port": port})
    lab.run("coffer-api", COFFER, "api", "--config-file", config)
    return f"http://127.0.0.1:{port}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=HEADERS), timeout=5) as answer:
            return int(answer.status) in {200, 300}
    except OSError:
        return False


def _asked(url: str, connections: int) -> Sample:
    headers = [word for name, value in HEADERS.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", *headers, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    speed = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert speed is not None, said
    return Sample(1e6 / float(speed[1]))
