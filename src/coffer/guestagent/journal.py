"""What an agent must not forget when it is killed: the runs that it has taken and not yet reported.

A file a run, below the instance's directory, where the instance's own user cannot write. It is there before the work
begins and gone once the conductor has the report. A file that cannot be written costs a log line and not the work: the
run's deadline still stands behind it.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coffer.clouds.local.guest_config import replace_file
from coffer.guestagent.outcomes import Outcome, outcome_from_json, outcome_to_json
from coffer.wire.context import TroveContext
from coffer.wire.json import JSON

LOG = logging.getLogger(__name__)

DIR_NAME: Final = "journal"


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that an earlier agent has taken; `outcome` is None if it was still under way.

    `leaves` is the folder of the object store in which the run leaves a beginning when it is cut short.
    """

    ctx: TroveContext
    outcome: Outcome | None
    leaves: str | None = None


class Journal:
    """The runs of one instance; safe to use from several threads for different runs."""

    def __init__(self, guest_dir: Path) -> None:
        """Keep the files in the directory of an instance."""
        self._directory = guest_dir / DIR_NAME

    def begin(self, ctx: TroveContext, *, leaves: str | None = None) -> None:
        """Note that the context's run is under way, and what it leaves when it is cut short."""
        self._write(ctx, {} if leaves is None else {"leaves": leaves})

    def decide(self, ctx: TroveContext, outcome: Outcome) -> None:
        """Note how the run ended; the report is still to be answered."""
        self._write(ctx, {"outcome": outcome_to_json(outcome)})

    def forget(self, ctx: TroveContext) -> None:
        """Note that the report was taken."""
        try:
            self._path(ctx).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("journal not cleared path=%s error=%s", self._path(ctx), error)

    def left(self) -> list[Entry]:
        """Return what an earlier agent left, the oldest first; what cannot be read is dropped."""
        try:
            files = sorted(self._directory.iterdir(), key=lambda path: path.lstat().st_mtime_ns)
        except OSError:
            return []
        return [entry for entry in map(_read, files) if entry is not None]

    def _write(self, ctx: TroveContext, more: Mapping[str, JSON]) -> None:
        kept: dict[str, JSON] = {"context": ctx.to_dict(), **more}
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            replace_file(self._path(ctx), json.dumps(kept))
        except OSError as error:
            LOG.warning("journal not written path=%s error=%s", self._path(ctx), error)

    def _path(self, ctx: TroveContext) -> Path:
        assert ctx.notification is not None, "only runs are kept"
        # Hashed: the id came over the wire, and a path must not.
        name = hashlib.sha256(ctx.notification.run_id.encode(errors="surrogatepass")).hexdigest()[:32]
        return self._directory / f"{name}.json"


def _read(path: Path) -> Entry | None:
    """Return an entry; what is none (a draft that a crash left, say) is removed."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        ctx = TroveContext.from_dict(kept["context"], overwrite=False)
        if path.suffix == ".json" and ctx.notification is not None:
            leaves = kept.get("leaves")
            return Entry(ctx, _outcome(kept.get("outcome")), leaves if isinstance(leaves, str) else None)
        LOG.warning("journal has no run in it path=%s", path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        LOG.warning("journal cannot be read path=%s error=%s", path, type(error).__name__)
    try:
        path.unlink()
    except OSError as error:
        LOG.warning("journal not cleared path=%s error=%s", path, error)
    return None


def _outcome(value: Mapping[str, JSON] | None) -> Outcome | None:
    return None if value is None else outcome_from_json(value)
