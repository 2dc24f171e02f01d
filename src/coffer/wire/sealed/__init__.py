"""Sealed frames between the control plane and the guest agents, which are strangers to it."""
