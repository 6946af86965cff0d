"""The algebra of receptive fields: sets of rows, forms of one axis, tensors that see axes."""
