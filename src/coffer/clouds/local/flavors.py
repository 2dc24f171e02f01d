"""The sizes of instances that the local cloud offers: a default table, or the operator's TOML file.

```toml
[[flavor]]
id = "1"
name = "db.tiny"
ram_mib = 512
vcpus = 1
disk_gib = 5
```
"""

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coffer.clouds.cloud import CloudMisconfigured, Flavor

DEFAULT_FLAVORS: tuple[Flavor, ...] = (
    Flavor(id="1", name="db.tiny", ram_mib=512, vcpus=1, disk_gib=5),
    Flavor(id="2", name="db.small", ram_mib=1024, vcpus=1, disk_gib=10),
    Flavor(id="3", name="db.medium", ram_mib=2048, vcpus=1, disk_gib=20),
    Flavor(id="4", name="db.large", ram_mib=4096, vcpus=2, disk_gib=40),
    Flavor(id="5", name="db.xlarge", ram_mib=8192, vcpus=4, disk_gib=80),
    Flavor(id="6", name="db.xxlarge", ram_mib=16384, vcpus=8, disk_gib=160),
)

_TEXTS = ("id", "name")
_LEAST = {"ram_mib": 64, "vcpus": 1, "disk_gib": 1}
_MOST = 2**31 - 1
_LONGEST = 255


def load_flavors(path: Path | None) -> tuple[Flavor, ...]:
    """Read the operator's file, or return the default table when there is none.

    Raises:
        CloudMisconfigured: naming the file, the entry and what is wrong with it.
    """
    if path is None:
        return DEFAULT_FLAVORS
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CloudMisconfigured(f"The file of flavors {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CloudMisconfigured(f"The file of flavors {path} is not TOML: {error}") from error
    unknown = sorted(content.keys() - {"flavor"})
    if unknown:
        raise CloudMisconfigured(f"{path}: {_listed(unknown)} is not known; only [[flavor]] entries are.")
    entries = content.get("flavor")
    if not isinstance(entries, list) or not entries:
        raise CloudMisconfigured(f"{path}: there must be at least one [[flavor]] entry.")
    flavors = tuple(_flavor(path, number, entry) for number, entry in enumerate(entries, start=1))
    _refuse_twins(path, "id", (flavor.id for flavor in flavors))
    _refuse_twins(path, "name", (flavor.name for flavor in flavors))
    return flavors


def _flavor(path: Path, number: int, entry: Any) -> Flavor:
    problem = _problem(entry)
    if problem:
        raise CloudMisconfigured(f"{path}: flavor {number}: {problem}.")
    return Flavor(**entry)


def _problem(entry: Any) -> str | None:
    """Say what is wrong with an entry, or None."""
    if not isinstance(entry, dict):
        return "it must be a table"
    names = (*_TEXTS, *_LEAST)
    missing = [name for name in names if name not in entry]
    if missing:
        return f"{_listed(missing)} is missing"
    unknown = sorted(entry.keys() - set(names))
    if unknown:
        return f"{_listed(unknown)} is not known; an entry has {_listed(names)}"
    problems = (_problem_of(name, entry[name]) for name in names)
    return next((problem for problem in problems if problem), None)


def _problem_of(name: str, value: Any) -> str | None:
    if name in _TEXTS:
        good = isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() and value.strip()
        return (
            None if good else f"{name} must be a text of 1 to {_LONGEST} printable characters, not {value!r}"
        )
    # bool is a kind of int in Python, not in TOML.
    in_range = type(value) is int and _LEAST[name] <= value <= _MOST
    return None if in_range else f"{name} must be a whole number of at least {_LEAST[name]}, not {value!r}"


def _refuse_twins(path: Path, what: str, values: Iterable[str]) -> None:
    twins = [value for value, count in Counter(values).items() if count > 1]
    if twins:
        raise CloudMisconfigured(f"{path}: more than one flavor has the {what} {_listed(twins)}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
