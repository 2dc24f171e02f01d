"""Floor 3: the consumer that stores each event once, in a database of its own."""
