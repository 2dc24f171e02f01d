"""Floor 0: what coffer can do and what it announces, as data."""
