"""YAML as these files want it: a comment at the head, keys in the order given, no anchors."""

from collections.abc import Mapping, Sequence

import yaml

Tree = Mapping[str, "Tree"] | Sequence["Tree"] | str | int | float | bool | None
"""What a YAML or JSON document is made of."""


def yaml_text(header: str, document: Tree) -> str:
    """Return `document` under `header`, whose lines become comments."""
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return comment(header) + body


def comment(text: str) -> str:
    """Return `text` with every line as a comment."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.strip().splitlines())


class _Dumper(yaml.SafeDumper):
    """Writes every value out in full: a reader should not have to follow anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True
