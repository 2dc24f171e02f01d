"""Floor 1: everything that is kept in the control plane's database."""
