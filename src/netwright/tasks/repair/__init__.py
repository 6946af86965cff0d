"""Repairing a script: patched copies of it run in processes of their own, and race."""
