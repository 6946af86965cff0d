"""The losses, each a leaf of this folder.

A leaf is a builder `(options, class_counts) -> loss`: `class_counts` are the training samples of
each class, and `loss(logits (N, C), target (N,))` is one number, the mean over the batch.

Choosing: `cross_entropy`. With wrong labels its smoothing, or `l1` on softmax; with rare classes
its balanced weights, or `focal`; for several answers at once `bce_with_logits`; for segmentation of
little foreground `dice`. Each loss takes logits: no softmax or sigmoid belongs at the end of the
network (`nll` alone takes log-probabilities).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from netwright.core.registry import Registry

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

LOSSES: Registry[Callable[[Any, Sequence[int]], Loss]] = Registry(
    "loss", "netwright.nn.losses", listing="netwright ls losses"
)
"""Fact of a leaf: `batchwise`, true for a loss of the batch as a whole, which is no mean over its
samples and which gradient accumulation changes."""
