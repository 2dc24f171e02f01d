"""Floor 3: the work that the cloud and the guests take time for."""
