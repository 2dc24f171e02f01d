"""`docs/configuration.md`: every option of coffer's own, derived from the option objects; says whether it is stale.

usage: python -m coffer.main.settings_document (--check | --write) [ROOT]
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from coffer.main.settings import GROUPS
from coffer.wire import options as messaging

DOCUMENT = "docs/configuration.md"

_INTRODUCTION = """\
<!-- Derived from coffer/main/settings.py and coffer/wire/options.py: do not edit, run `make docs`. -->

# Configuration

Files in oslo.config's format, given with `--config-file`; of several the later ones win. `coffer standalone` needs
none. The separate services need this, each of them the groups that it uses:

```ini
[DEFAULT]
transport_url = rabbit://coffer:PASSWORD@broker:5672/

[database]
connection = postgresql://coffer:PASSWORD@db/coffer

[collector]
connection = postgresql://coffer:PASSWORD@db/coffer_events

[local_cloud]
root = /var/lib/coffer
```

Files that hold passwords should be readable by coffer's user only. An option that is marked *secret* is masked
wherever oslo.config prints it.

These libraries bring options of their own:

- oslo.messaging: `transport_url` is the broker for RPC and, unless `[oslo_messaging_notifications] transport_url`
  names another one, for notifications; `[oslo_messaging_notifications] topics` is `notifications` by default;
  `[oslo_messaging_rabbit]` has TLS, heartbeats and durable queues. `control_exchange` is `trove`, which Ceilometer
  listens to. In `coffer standalone` RPC stays in the process (`kombu+memory://`), and the notifications do too unless
  `[oslo_messaging_notifications] transport_url` is set.
- keystonemiddleware: `[keystone_authtoken]`, for `auth_strategy = keystone`, see [keystone.md](keystone.md).
- oslo.policy: `[oslo_policy]`, see [policy.md](policy.md).
- oslo.log: `debug`, `log_file`, `use_json`, `default_log_levels` and so on; standard error by default.

"""

_MESSAGING_HEADING = "messaging"


def text() -> str:
    """Return the document."""
    parts = [_INTRODUCTION]
    for group, options in GROUPS:
        parts.append(f"## [{group or 'DEFAULT'}]\n\n{_table(options)}\n")
    parts.append(f"## [DEFAULT], {_MESSAGING_HEADING}\n\n{_table(messaging.OPTIONS)}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Derived:
    """A document that is written from what the program knows: where it is, of what it tells, how it is made."""

    path: str
    source: str
    module: str
    text: Callable[[], str]


OPTIONS = Derived(DOCUMENT, "the options", "settings_document", text)


def main(arguments: Sequence[str] | None = None, document: Derived = OPTIONS) -> int:
    """Check or write `document`; return the exit status, 1 if it is stale."""
    parser = argparse.ArgumentParser(
        prog=f"python -m coffer.main.{document.module}", description=f"The document of {document.source}."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--check", action="store_true", help=f"say whether the document is what {document.source} say"
    )
    what.add_argument("--write", action="store_true", help="write the document anew")
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path.cwd(), help="the repository (default: here)"
    )
    asked = parser.parse_args(arguments)
    path = asked.root / document.path
    if asked.write:
        path.write_text(document.text(), encoding="utf-8")
    if not path.exists() or path.read_text(encoding="utf-8") != document.text():
        sys.stderr.write(
            f"{document.path} is not what {document.source} say; run `make docs` and commit it\n"
        )
        return 1
    return 0


def _table(options: Sequence[cfg.Opt]) -> str:
    rows = [
        f"| `{option.name}` | {_type(option)} | {_default(option)} | {_meaning(option)} |"
        for option in options
    ]
    return "\n".join(["| option | type | default | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _type(option: cfg.Opt) -> str:
    name = option.type.type_name.removesuffix(" value")
    choices = getattr(option.type, "choices", None)
    if choices:
        return f"{name}: {', '.join(f'`{choice}`' for choice in choices)}"
    least = getattr(option.type, "min", None)
    return name if least is None else f"{name}, at least {least:g}"


def _default(option: cfg.Opt) -> str:
    if option.sample_default is not None:
        return str(option.sample_default)
    if option.default in (None, [], {}, ""):
        return "none"
    if isinstance(option.default, dict):
        return ", ".join(f"`{key}:{value}`" for key, value in option.default.items())
    return f"`{option.default}`"


def _meaning(option: cfg.Opt) -> str:
    return f"{option.help}{' Secret.' if option.secret else ''}"


if __name__ == "__main__":
    sys.exit(main())
