"""Our own training loop: the contract it calls, and how a run survives what happens to it."""
