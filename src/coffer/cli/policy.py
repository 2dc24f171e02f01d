"""`coffer policy`: who may do what, by default and by the operator's own rules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from coffer.api import policy_text
from coffer.api.policy import problems
from coffer.api.policy_files import PolicyFiles, PolicyUnusable
from coffer.api.routes import guards
from coffer.cli.output import Column, Fit, print_json, print_table
from coffer.main import access
from coffer.main.settings import SettingsError, load

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_config_files = click.option(
    "--config-file",
    "config_files",
    type=_FILE,
    multiple=True,
    help="A configuration file of the API, which names the policy file; several: later ones win.",
)
_policy_file = click.option(
    "--policy-file", type=_FILE, help="A policy file alone, in place of those that a --config-file names."
)


@click.group(short_help="Look after who may do what.")
def policy() -> None:
    """Look after who may do what; docs/policy.md explains the rules."""


@policy.command()
def sample() -> None:
    """Print a policy file with every rule, commented out.

    Exit code: 0.
    """
    click.echo(policy_text.sample(guards()), nl=False)


@policy.command(name="list")
@_config_files
@_policy_file
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_(config_files: tuple[Path, ...], policy_file: Path | None, format_: str) -> None:
    """Show the rules in force, and which of them are the operator's.

    Exit codes: 0, 1 if his files cannot be read.
    """
    with _in_a_sentence():
        overrides = _overrides(config_files, policy_file)
    known = policy_text.rows(guards())
    found = [
        {
            "rule": row.name,
            "check": overrides.get(row.name, row.check),
            "by_default": row.name not in overrides,
            "calls": list(row.calls),
            "description": row.description,
        }
        for row in known
    ]
    own = overrides.keys() - {row.name for row in known}
    found += [
        {"rule": name, "check": overrides[name], "by_default": False, "calls": [], "description": ""}
        for name in sorted(own)
    ]
    if format_ == "json":
        print_json({"rules": found})
        return
    columns = [Column("RULE"), Column("CHECK", Fit.FOLDED), Column("WHOSE"), Column("CALLS", Fit.FOLDED)]
    print_table(
        columns,
        [
            (
                str(rule["rule"]),
                str(rule["check"]),
                "default" if rule["by_default"] else "yours",
                ", ".join(str(call) for call in rule["calls"]) if isinstance(rule["calls"], list) else "",
            )
            for rule in found
        ],
    )


@policy.command()
@_config_files
@_policy_file
def check(config_files: tuple[Path, ...], policy_file: Path | None) -> None:
    """Say what is wrong with the operator's rules.

    Exit codes: 0 nothing, 1 something, 2 the command line is wrong.
    """
    if not config_files and policy_file is None:
        raise click.UsageError("name a --policy-file or a --config-file")
    with _in_a_sentence():
        overrides = _overrides(config_files, policy_file)
    found = problems(guards(), overrides)
    for problem in found:
        click.echo(problem)
    if found:
        raise SystemExit(1)
    click.echo(f"{len(overrides)} rules of yours, all of them in order.")


def _overrides(config_files: tuple[Path, ...], policy_file: Path | None) -> Mapping[str, str]:
    if policy_file is not None:
        return PolicyFiles(policy_file).read()
    return access.overrides(load(config_files))


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (PolicyUnusable, SettingsError) as error:
        raise click.ClickException(str(error)) from error
