"""What a datastore is, as data: its versions, its rules for names, and where its driver is found."""

import importlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from coffer.datastores.driver import Driver, EngineFinder, EngineSettings, Place
from coffer.datastores.parameters import Parameter

_NAMESPACE = uuid.UUID("7f3c2ab0-41f5-5ed6-9a37-60d6b0c6f1d2")
"""Ids of datastores and versions are derived from their names, so that they are the same on every machine."""

Problem = Callable[[str], str | None]
"""A rule: returns what is wrong with a value, as the rest of a sentence about it, or None."""


ParametersOf = Callable[[str], Mapping[str, Parameter]]
"""Returns what a configuration group for the version of this name may hold, by the engine's own names."""


class DefaultsOf(Protocol):
    """Returns the settings of an instance without a configuration group."""

    def __call__(self, *, version: str, ram_mib: int, volume_gib: int | None) -> Mapping[str, str]:
        """Return them in the engine's own words."""


@dataclass(frozen=True, slots=True)
class DatastoreVersion:
    """One version of an engine that an instance can have."""

    id: str
    name: str
    number: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What an engine takes as names and passwords; pure, so that the API refuses before anything begins.

    `has_user_hosts` is False where a user is the same user wherever he comes from.
    """

    database_name: Problem
    user_name: Problem
    password: Problem
    character_set: Problem
    collate: Problem
    has_user_hosts: bool
    incremental_backup: Problem = lambda _version: "are not what this datastore has"
    """Says what is wrong with incremental backups of a version."""


@dataclass(frozen=True, slots=True)
class Datastore:
    """One engine. `driver` and `finder` are dotted ("module:name"): only a guest loads an engine's code."""

    id: str
    name: str
    versions: tuple[DatastoreVersion, ...]
    default_version: DatastoreVersion
    rules: Rules
    driver: str
    finder: str
    parameters: ParametersOf
    defaults: DefaultsOf

    def version(self, name_or_id: str) -> DatastoreVersion | None:
        """Return the version of this name, number or id, if there is one."""
        for version in self.versions:
            if name_or_id in (version.id, version.name, version.number):
                return version
        return None

    def make_driver(self, place: Place) -> Driver:
        """Load the engine's code and return the driver of one instance."""
        driver: Driver = _load(self.driver)(place)
        return driver

    def offered(self, settings: EngineSettings) -> "Datastore | None":
        """Return this datastore with the versions that this machine has, or None if it has none.

        The default stays the default where it is there; else the newest one is it.
        """
        finder: EngineFinder = _load(self.finder)
        found = finder(settings)
        versions = tuple(version for version in self.versions if version.name in found)
        if not versions:
            return None
        default = self.default_version if self.default_version in versions else versions[0]
        return replace(self, versions=versions, default_version=default)


def datastore(
    name: str,
    *,
    versions: tuple[str, ...],
    default: str,
    rules: Rules,
    driver: str,
    finder: str,
    parameters: ParametersOf,
    defaults: DefaultsOf,
) -> Datastore:
    """Make a datastore with its ids; `versions` newest first.

    Raises:
        StopIteration: `default` is none of the versions (found when the plug-in is loaded).
    """
    rows = tuple(
        DatastoreVersion(id=str(uuid.uuid5(_NAMESPACE, f"{name}/{version}")), name=version, number=version)
        for version in versions
    )
    return Datastore(
        id=str(uuid.uuid5(_NAMESPACE, name)),
        name=name,
        versions=rows,
        default_version=next(row for row in rows if row.name == default),
        rules=rules,
        driver=driver,
        finder=finder,
        parameters=parameters,
        defaults=defaults,
    )


def _load(dotted: str) -> Any:
    module, _, attribute = dotted.partition(":")
    return getattr(importlib.import_module(module), attribute)
