"""Looking into a network without training it."""
