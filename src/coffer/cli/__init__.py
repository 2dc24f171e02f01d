"""Floor 4: the `coffer` command."""
