"""Floor 3: carries the outbox to the broker, in order, confirmed."""
