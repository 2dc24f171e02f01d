"""Floor 1: where instances live."""
