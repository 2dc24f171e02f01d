"""Floor 1: one folder an engine."""
