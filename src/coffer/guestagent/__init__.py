"""Floor 3: the agent beside one database server."""
