"""Parts of networks that torch lacks, or that ours share: activations, initialisation, losses."""
