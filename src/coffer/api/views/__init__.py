"""Pure functions from rows to the bodies that Trove's clients read."""
