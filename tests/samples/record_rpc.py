"""Records what the services of this version say to each other, for the versions to come to be tested with.

usage: python -m tests.samples.record_rpc --write 1.0      (from the root, at the release of that version)

A whole control plane plays scenes; of each method the first message with each set of arguments is kept, as it travels,
and beside it what the method that serves it takes. The file of a version is never written again.
"""

import argparse
import inspect
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.samples.scenes import SCENES, Scene, an_instance, do
from tests.support.plane import Plane

from coffer.conductor.reports import Reports
from coffer.guestagent.agent import Endpoint
from coffer.store import migrate
from coffer.taskmanager.instances import InstanceTasks
from coffer.wire.contracts import CONDUCTOR, TASKMANAGER, guest_contract
from coffer.wire.rpc import RpcTransport

FOLDER = Path(__file__).parent / "rpc"
ENDPOINTS: Mapping[str, type] = {"taskmanager": InstanceTasks, "conductor": Reports, "guestagent": Endpoint}
CONTRACTS = {"taskmanager": TASKMANAGER, "conductor": CONDUCTOR, "guestagent": guest_contract("i-1")}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)")

Message = dict[str, Any]


def all_that_can_be_asked(plane: Plane) -> None:
    """Every method that the scenes of the samples have no use for."""
    instance = an_instance(plane)
    for path in ("/databases", "/users", "/users/alice", "/users/alice/databases", "/root"):
        plane.call("GET", f"{instance}{path}")
    for method in ("POST", "DELETE"):
        plane.call(method, f"{instance}/root")
    backup = do(plane, "POST", "/backups", {"backup": {"name": "b", "instance": instance.rpartition("/")[2]}})
    plane.active(restorePoint={"backupRef": backup["backup"]["id"]})
    plane.wait_until_idle()


@contextmanager
def recorded() -> Iterator[list[tuple[str, Message]]]:
    """Give the list to which everything is added that is sent over the RPC of this process: service, message."""
    found: list[tuple[str, Message]] = []
    send = RpcTransport.send

    def noting(self: RpcTransport, topic: str, server: Any, context: Any, message: Any, **how: Any) -> object:
        found.append((topic.partition(".")[0].removeprefix("trove-"), _copy({**message, "context": context})))
        return send(self, topic, server, context, message, **how)

    RpcTransport.send = noting  # type: ignore[method-assign]
    try:
        yield found
    finally:
        RpcTransport.send = send  # type: ignore[method-assign]


def said() -> dict[str, dict[str, list[Message]]]:
    """Return what was said while the scenes were played, by service and method, each set of arguments once."""
    messages: dict[str, dict[str, list[Message]]] = {}
    with tempfile.TemporaryDirectory(prefix="coffer-rpc-") as scratch, recorded() as found:
        for scene in (*SCENES, Scene(all_that_can_be_asked)):
            _play(scene, Path(scratch) / scene.play.__name__)
    for service, message in found:
        of_method = messages.setdefault(service, {}).setdefault(message["method"], [])
        if not any(each["args"].keys() == message["args"].keys() for each in of_method):
            of_method.append(message)
    return messages


def parameters(service: str, method: str) -> dict[str, bool]:
    """Return the arguments that a method of today's service takes, and whether it must get them."""
    taken = list(inspect.signature(getattr(ENDPOINTS[service], method)).parameters.values())[2:]
    return {each.name: each.default is inspect.Parameter.empty for each in taken}


def record() -> dict[str, Any]:
    """Return everything about the contracts of this version."""
    messages = said()
    return {
        service: {
            "version": contract.version,
            "methods": {
                method: {
                    "parameters": parameters(service, method),
                    "messages": messages.get(service, {}).get(method, []),
                }
                for method in sorted(contract.methods)
            },
        }
        for service, contract in CONTRACTS.items()
    }


def _play(scene: Scene, directory: Path) -> None:
    directory.mkdir()
    url = f"sqlite:///{directory / 'coffer.db'}"
    migrate.upgrade(url)
    with Plane(url, directory / "cloud", min_free_gib=scene.min_free_gib) as plane:
        scene.play(plane)


def _copy(message: Mapping[str, Any]) -> Message:
    text = _TIME.sub("2026-11-22T12:00:00.000000+00:00", json.dumps(message))
    copied: Message = json.loads(_UUID.sub("00000000-0000-4000-8000-000000000001", text))
    return copied


def main() -> int:
    """Write the file of a version."""
    parser = argparse.ArgumentParser(prog="python -m tests.samples.record_rpc")
    parser.add_argument("--write", metavar="VERSION", required=True)
    path = FOLDER / f"{parser.parse_args().write}.json"
    if path.exists():
        parser.error(f"{path} is there already, and a contract is never changed")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
