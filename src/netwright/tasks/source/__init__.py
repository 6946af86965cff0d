"""Somebody's script as source text: read, asked about, and changed in exact places."""
