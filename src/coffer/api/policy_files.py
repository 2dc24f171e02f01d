"""The operator's policy: the files in which he writes rules of his own, and whether they have changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

Signature = tuple[tuple[str, int, int, int], ...]


class PolicyUnusable(Exception):  # noqa: N818 - it is what it says
    """The operator's rules cannot be read; a sentence for him."""


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """A file of rules, and directories whose files are read after it, in the order of their names; later ones win."""

    file: Path
    directories: Sequence[Path] = ()
    is_named: bool = False
    """The operator names the file, so it must be there."""

    def signature(self) -> Signature:
        """Return what is another one after a change; a file that is not there has none."""
        found = []
        for path in self._paths():
            try:
                state = path.stat()
            except OSError:
                continue
            found.append((str(path), state.st_mtime_ns, state.st_size, state.st_ino))
        return tuple(found)

    def read(self) -> dict[str, str]:
        """Return the check of every rule that the files name.

        Raises:
            PolicyUnusable: if one of them cannot be read, or is no table of texts.
        """
        rules: dict[str, str] = {}
        for path in self._paths():
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                if self.is_named and path == self.file:
                    raise PolicyUnusable(f"the policy file {path} is not there") from None
                continue
            except (OSError, ValueError) as error:
                raise PolicyUnusable(f"the policy file {path} cannot be read: {error}") from error
            rules |= _parsed(path, text)
        return rules

    def _paths(self) -> list[Path]:
        below = [path for each in self.directories if each.is_dir() for path in sorted(each.iterdir())]
        return [self.file, *(path for path in below if path.is_file() and not path.name.startswith("."))]


def _parsed(path: Path, text: str) -> dict[str, str]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise PolicyUnusable(f"the policy file {path}{line} is no YAML: {_sentence(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise PolicyUnusable(f"the policy file {path} must hold a table: the name of a rule, and its check")
    for name, check in content.items():
        if not isinstance(name, str) or not isinstance(check, str):
            raise PolicyUnusable(
                f"the policy file {path}: the check of the rule {name!r} must be a text in quotes"
            )
    return content


def _sentence(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or type(error).__name__)
