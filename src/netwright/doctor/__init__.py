"""The doctor: conditions read facts and return findings; nothing here knows whose network it is."""
