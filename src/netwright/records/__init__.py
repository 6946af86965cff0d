"""Frozen facts, and the reading of a run folder; nothing here reaches torch."""
