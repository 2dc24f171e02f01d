"""Makes the committed samples, one an event, by letting a whole control plane do the operations for real.

usage: python -m tests.samples.produce --write      (from the root of the repository)

What is done to it is in `scenes`. What differs from run to run is replaced by a placeholder in angle brackets; the
rest is what goes to the broker.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.samples.scenes import SCENES, Scene
from tests.support.plane import Plane

from coffer.catalogue.operations import OPERATIONS
from coffer.store import migrate, outbox
from coffer.wire.envelope import open_envelope

FOLDER = Path(__file__).parent
OTHER_FILES = frozenset({"spec-traits.json"})
FACTS = (
    "trove.instance.create",
    "trove.instance.modify_flavor",
    "trove.instance.modify_volume",
    "trove.instance.delete",
)

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BY_FIELD = {
    "message_id": "<message id>",
    "_unique_id": "<unique id>",
    "timestamp": "<time>",
    "run_id": "<run id>",
    "instance_id": "<instance id>",
    "backup_id": "<backup id>",
    "configuration_id": "<configuration id>",
    "nova_instance_id": "<server id>",
    "nova_volume_id": "<volume id>",
    "created_at": "<time>",
    "launched_at": "<time>",
    "modify_at": "<time>",
    "deleted_at": "<time>",
}
_CONSTANT = frozenset({"service_id"})
"""An id that is the same everywhere."""
_IN_TEXTS = ("instance_id", "backup_id", "configuration_id")
"""Fields whose ids are also in messages."""
_REQUEST_ID = re.compile(rf"\breq-{_UUID}")
_FRAMES = re.compile(r"(\n  at [^\n]*)+")

Sample = dict[str, Any]


def expected() -> set[str]:
    """Return the events that must have a sample: three for each operation that is served, and the facts of a bill."""
    served = [name for name, operation in OPERATIONS.items() if operation.built]
    return {*FACTS, *(f"dbaas.{name}.{phase}" for name in served for phase in ("start", "end", "error"))}


def produced() -> dict[str, Sample]:
    """Return a sample of each event that the control plane announces while it does each operation, well and badly."""
    samples: dict[str, Sample] = {}
    with tempfile.TemporaryDirectory(prefix="coffer-samples-") as scratch:
        for scene in SCENES:
            messages = _messages(scene, Path(scratch) / scene.play.__name__)
            ids = dict(_ids(messages))
            for message in messages:
                samples.setdefault(str(message["event_type"]), _stable(message, ids))
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


def _messages(scene: Scene, directory: Path) -> list[Sample]:
    """Return what a new control plane announces while a scene is played."""
    directory.mkdir()
    url = f"sqlite:///{directory / 'coffer.db'}"
    migrate.upgrade(url)
    with Plane(url, directory / "cloud", min_free_gib=scene.min_free_gib) as plane:
        scene.play(plane)
        with plane.database.reading() as tx:
            return [dict(open_envelope(pending.body)) for pending in outbox.head(tx, 10_000)]


def _ids(messages: Iterable[Sample]) -> Iterator[tuple[str, str]]:
    """Return the ids that are also in texts, each with its placeholder."""
    for message in messages:
        for field in _IN_TEXTS:
            if field in message["payload"]:
                yield message["payload"][field], _BY_FIELD[field]


def _stable(value: Any, ids: Mapping[str, str], field: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _stable(item, ids, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_stable(item, ids) for item in value]
    if field in _BY_FIELD:
        return _BY_FIELD[field]
    if field == "duration_s":
        return 1.5
    if isinstance(value, str) and field not in _CONSTANT:
        value = _REQUEST_ID.sub("<request id>", value)
        for found, placeholder in ids.items():
            value = value.replace(found, placeholder)
        return _FRAMES.sub("\n  at <frames, innermost first>", value)
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
