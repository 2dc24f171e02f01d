"""Floor 3: the guests' only door."""
