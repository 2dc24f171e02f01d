"""Floor 3: the REST API."""
