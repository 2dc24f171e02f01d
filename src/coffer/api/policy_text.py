"""The rules for people: a sample of a policy file, and the document of what the rules are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from oslo_policy import policy

from coffer.api.policy import Guard, rule_defaults

_SAMPLE = """\
# The rules of coffer as they are by default: a line that is not commented out replaces one of them.
# The name of this file is the option policy_file of the group [oslo_policy]; what is changed here is in force
# within two seconds. `coffer policy check --policy-file FILE` says whether it can be.
"""

_INTRODUCTION = """\
<!-- Derived from coffer/api/routes.py: do not edit, run `make docs`. -->

# Policy

Who may call what. Each call of the API is guarded by a rule of its own; by default they all come down to three:

{basis}

The roles are those of the token (`auth_strategy = keystone`, see [keystone.md](keystone.md)) or of `noauth_roles`. In
Keystone an administrator is also a member, and a member also a reader. Whatever the rules say, nobody sees the things
of another project: a call is for the project of its URL, which must be the caller's own, and it finds only what is that
project's. The calls below `/mgmt` are the exception, and guarded as such.

## Rules of one's own

oslo.policy's language, in a YAML file: the name of a rule, and the check that takes the place of ours. What the file
does not name stays as it is. `coffer policy sample` prints all of them, commented out.

```yaml
# Only who has the role `dba` deletes instances; who may just look does not see the quota.
"instance:delete": "rule:admin_required or (role:dba and project_id:%(project_id)s)"
"quota:show": "rule:project_member"
```

```ini
[oslo_policy]
policy_file = policy.yaml
```

- A relative path starts at the directory of the (last) `--config-file`. `policy.yaml` beside it is read without being
  named. So are the files in `policy.d`, in the order of their names, after it; later ones win. Without a
  `--config-file` there are no rules of one's own.
- The files are looked at every two seconds: a change is in force without a restart, in every process that serves the
  API.
- A file that cannot be read any more changes nothing: the rules from before stay in force, and the log says why. At a
  start it is a reason not to start; so is a file that is named and not there. The
  same holds for one that is removed later; a file that is not named, and one of `policy.d`, takes its rules with it.
- `coffer policy check --config-file FILE` (or `--policy-file`) says beforehand what is wrong: a check that cannot be
  understood (it would refuse everybody), a rule by which nothing is guarded (a typing error, mostly), one that refers
  to what there is not, or to itself. Its exit status is 1 then. The log says the same.
- `coffer policy list --config-file FILE` shows the rules in force, and which of them are not ours.

A refusal is a 403 that names the rule. It is no operation, so nothing is announced.

## All rules

{table}"""


@dataclass(frozen=True, slots=True)
class Row:
    """A rule as it is by default; `calls` are `METHOD path`."""

    name: str
    check: str
    description: str
    calls: tuple[str, ...]


def rows(guards: Sequence[Guard]) -> list[Row]:
    """Return every rule, the ones that others come down to first."""
    return [
        Row(
            default.name,
            default.check_str,
            _sentence(guards, default),
            tuple(f"{call['method']} {call['path']}" for call in _calls(default)),
        )
        for default in rule_defaults(guards)
    ]


def sample(guards: Sequence[Guard]) -> str:
    """Return a policy file that changes nothing."""
    return "\n".join([_SAMPLE, *(line for row in rows(guards) for line in _sampled(row))])


def markdown(guards: Sequence[Guard]) -> str:
    """Return the document."""
    found = rows(guards)
    basis = "\n".join(
        ["| rule | check | who |", "| --- | --- | --- |"]
        + [f"| `{row.name}` | `{row.check}` | {row.description} |" for row in found if not row.calls]
    )
    table = "\n".join(
        ["| rule | by default | calls | what |", "| --- | --- | --- | --- |"]
        + [
            f"| `{row.name}` | `{row.check}` | {'<br>'.join(f'`{call}`' for call in row.calls)} | {row.description} |"
            for row in found
            if row.calls
        ]
    )
    return _INTRODUCTION.format(basis=basis, table=table) + "\n"


def _calls(default: policy.RuleDefault) -> Sequence[Mapping[str, str]]:
    if not isinstance(default, policy.DocumentedRuleDefault):
        return ()
    return cast("Sequence[Mapping[str, str]]", default.operations)


def _sentence(guards: Sequence[Guard], default: policy.RuleDefault) -> str:
    described = {guard.name: guard.description for guard in guards}
    return described.get(default.name) or str(default.description)


def _sampled(row: Row) -> Iterator[str]:
    yield f"# {row.description}"
    yield from (f"# {call}" for call in row.calls)
    yield f'#"{row.name}": "{row.check}"'
    yield ""
