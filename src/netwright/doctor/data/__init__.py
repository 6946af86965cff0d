"""The data of a patient, looked at without its network: a bounded sample, and plain statistics."""
