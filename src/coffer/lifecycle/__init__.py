"""Floor 2: the only way to begin or end a run, and to state a fact."""
