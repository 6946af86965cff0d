"""Watching a loop from outside: what it calls is heard, and nothing of it is changed."""
