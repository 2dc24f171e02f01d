"""Floor 1: everything that crosses a broker: envelopes, contexts, RPC contracts, publishers."""
