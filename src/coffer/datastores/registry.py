"""Finds the plug-ins: every folder beside this file with a `plugin.py` that holds a `DATASTORE`."""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from coffer.datastores.datastore import Datastore
from coffer.datastores.driver import EngineSettings


class Registry:
    """The datastores that are known, in the order of their names."""

    def __init__(self, datastores: Sequence[Datastore]) -> None:
        self._datastores = tuple(sorted(datastores, key=lambda each: each.name))

    def __iter__(self) -> Iterator[Datastore]:
        return iter(self._datastores)

    def get(self, name_or_id: str) -> Datastore | None:
        """Return the datastore of this name or id, if there is one."""
        for each in self._datastores:
            if name_or_id in (each.name, each.id):
                return each
        return None

    def offered(self, settings: EngineSettings) -> "Registry":
        """Return the datastores and versions whose engines are on this machine."""
        found = (each.offered(settings) for each in self._datastores)
        return Registry([each for each in found if each is not None])


def discover() -> Registry:
    """Load the plug-ins; their drivers stay unloaded.

    Raises:
        ImportError, AttributeError: a folder is no plug-in (a programmer's error, caught by the tests).
    """
    folder = Path(__file__).parent
    packages = [each.name for each in pkgutil.iter_modules([str(folder)]) if each.ispkg]
    return Registry(
        [importlib.import_module(f"{__package__}.{name}.plugin").DATASTORE for name in sorted(packages)]
    )
