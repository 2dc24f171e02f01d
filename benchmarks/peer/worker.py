"""Upstream Trove at work, in its own virtual environment: obeys orders on stdin, answers on stdout, JSON both ways.

`.venv-peer/bin/python benchmarks/peer/worker.py CONFIG_FILE [serve PORT]`. It uses Trove's own classes and calls them
as Trove does. `socket` is patched by eventlet as soon as Trove's notifications are imported, as in a real service.
"""

import json
import os
import resource
import sys
import time
from typing import Any

# Libraries print to stdout; the answers go out on a copy of it, and all else to stderr.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.environ.setdefault("NO_EVENTLET_MONKEYPATCH", "" if "serve" in sys.argv else "1")

from trove.common import cfg  # noqa: E402 - decides about patching when it is imported

CONF = cfg.CONF


def main(config_file: str, *rest: str) -> None:
    """Serve the API, or obey until stdin ends."""
    CONF(["--config-file", config_file], project="trove", version="peer")
    if rest[:1] == ("serve",):
        import serving

        serving.serve(int(rest[1]))
        return
    from oslo_log import log

    log.setup(CONF, None)
    from trove import rpc

    rpc.init(CONF)
    import announcing
    import existing

    orders = {
        "pairs": announcing.pairs,
        "notifier": announcing.notifier,
        "fill": existing.fill,
        "exists": existing.exists,
    }
    answer({"ready": True})
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        work = orders[order.pop("do")](**order)
        answer(timed(work))


def timed(work: Any) -> dict[str, Any]:
    """Run a prepared piece of work; `work` returns how many it did, or a mapping with `count`."""
    cpu_s, began_s = time.process_time(), time.perf_counter()
    result = work()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    more = result if isinstance(result, dict) else {"count": result}
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak_mib, **more}


def answer(value: dict[str, Any]) -> None:
    """Write one line."""
    ANSWERS.write(json.dumps(value) + "\n")
    ANSWERS.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
