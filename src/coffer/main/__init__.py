"""Floor 4: one composition root a process."""
