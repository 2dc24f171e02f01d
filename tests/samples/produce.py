"""Makes the committed samples, one an event, by letting a whole control plane do the operations for real.

usage: python -m tests.samples.produce --write      (from the root of the repository)

What differs from run to run is replaced by a placeholder in angle brackets; the rest is what goes to the broker.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.plane import Plane
from tests.support.waiting import wait_for

from coffer.catalogue.errors import GuestFailed
from coffer.catalogue.operations import OPERATIONS
from coffer.store import migrate, outbox
from coffer.wire.envelope import open_envelope

FOLDER = Path(__file__).parent
OTHER_FILES = frozenset({"spec-traits.json"})
FACTS = ("trove.instance.create", "trove.instance.delete")

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BY_FIELD = {
    "message_id": "<message id>",
    "_unique_id": "<unique id>",
    "timestamp": "<time>",
    "run_id": "<run id>",
    "instance_id": "<instance id>",
    "nova_instance_id": "<server id>",
    "nova_volume_id": "<volume id>",
    "created_at": "<time>",
    "launched_at": "<time>",
    "deleted_at": "<time>",
    "duration_s": 1.5,
}
_CONSTANT = frozenset({"service_id"})
"""An id that is the same everywhere."""
_BY_PATTERN = (
    (re.compile(rf"\breq-{_UUID}"), "<request id>"),
    (re.compile(_UUID), "<instance id>"),
    (re.compile(r"(\n  at [^\n]*)+"), "\n  at <frames, innermost first>"),
)

Sample = dict[str, Any]


def expected() -> set[str]:
    """Return the events that must have a sample: three for each operation that is served, and the facts of a bill."""
    served = [name for name, operation in OPERATIONS.items() if operation.built]
    return {*FACTS, *(f"dbaas.{name}.{phase}" for name in served for phase in ("start", "end", "error"))}


def produced() -> dict[str, Sample]:
    """Return a sample of each event that the control plane announces while it does each operation, well and badly."""
    samples: dict[str, Sample] = {}
    with tempfile.TemporaryDirectory(prefix="coffer-samples-") as scratch:
        for message in (
            *_messages(Path(scratch) / "good"),
            *_messages_of_a_full_disk(Path(scratch) / "full"),
        ):
            samples.setdefault(str(message["event_type"]), _stable(message))
    return samples


def committed() -> dict[str, Sample]:
    """Return the samples in the repository."""
    paths = [path for path in FOLDER.glob("*.json") if path.name not in OTHER_FILES]
    return {path.stem: json.loads(path.read_text()) for path in paths}


def write(samples: Mapping[str, Sample]) -> None:
    """Replace the samples in the repository."""
    for name in committed():
        (FOLDER / f"{name}.json").unlink()
    for name, sample in samples.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(sample, indent=2, sort_keys=True) + "\n")


def _messages(directory: Path) -> Iterator[Sample]:
    """Do every operation well, and all but the creation badly too."""
    with _plane(directory) as plane:
        instance_id = plane.active(
            databases=[{"name": "shop"}],
            users=[{"name": "alice", "password": "tiger", "databases": [{"name": "shop"}]}],
            availability_zone="nova",
        )
        instance = f"/instances/{instance_id}"
        for _ in range(2):  # the second time what is to be made is there already
            _do(plane, "POST", f"{instance}/databases", {"databases": [{"name": "orders"}]})
            _do(plane, "POST", f"{instance}/users", {"users": [{"name": "bob", "password": "tiger"}]})
        for _ in range(2):  # the second time what is to be deleted is gone already
            _do(plane, "DELETE", f"{instance}/databases/orders")
            _do(plane, "DELETE", f"{instance}/users/bob")
        server = plane.server(instance_id)
        # While it restarts it cannot be deleted.
        server.before["restart"] = lambda: plane.call("DELETE", instance)
        _do(plane, "POST", f"{instance}/action", {"restart": {}})
        server.before.clear()
        server.fails["restart"] = GuestFailed(reason="The server does not take connections.")
        _do(plane, "POST", f"{instance}/action", {"restart": {}})
        _do(plane, "DELETE", instance)
        yield from _announced(plane)


def _messages_of_a_full_disk(directory: Path) -> Iterator[Sample]:
    """Create an instance where there is no room for one."""
    with _plane(directory, min_free_gib=10**9) as plane:
        plane.create()
        plane.wait_until_idle()
        yield from _announced(plane)


def _plane(directory: Path, *, min_free_gib: float = 0.0) -> Plane:
    directory.mkdir()
    url = f"sqlite:///{directory / 'coffer.db'}"
    migrate.upgrade(url)
    return Plane(url, directory / "cloud", min_free_gib=min_free_gib)


def _do(plane: Plane, method: str, path: str, body: object = None) -> None:
    """Make a call and wait until its runs have ended, however."""
    before = len(plane.events())
    plane.call(method, path, body)
    wait_for(lambda: len(plane.events()) > before, 20, f"{method} {path} to be announced")
    plane.wait_until_idle()


def _announced(plane: Plane) -> list[Sample]:
    with plane.database.reading() as tx:
        return [dict(open_envelope(pending.body)) for pending in outbox.head(tx, 10_000)]


def _stable(value: Any, field: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _stable(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_stable(item) for item in value]
    if field in _BY_FIELD:
        return _BY_FIELD[field]
    if isinstance(value, str) and field not in _CONSTANT:
        for pattern, placeholder in _BY_PATTERN:
            value = pattern.sub(placeholder, value)
    return value


def main() -> int:
    """Write the samples."""
    parser = argparse.ArgumentParser(prog="python -m tests.samples.produce")
    parser.add_argument("--write", action="store_true", required=True, help="replace the committed samples")
    parser.parse_args()
    samples = produced()
    write(samples)
    sys.stdout.write(f"{len(samples)} samples written to {FOLDER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
