"""So that `python -m coffer.cli` is the `coffer` command, also where scripts are not on the path."""

from coffer.cli.commands import coffer

coffer(prog_name="coffer")
