"""Weights in files of others: read without running anything, and fitted to a network."""
