"""Parts of networks that torch lacks, or that ours share: activations, initialisation, losses.

The mathematics of the layers, forward and backward in NumPy, is `netwright.nn.by_hand`.
"""
