"""The doctor as a callback of somebody else's trainer: thin adapters, each behind an extra."""
