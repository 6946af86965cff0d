"""The losses, each a leaf of this folder.

A leaf is a builder `(options, class_counts) -> loss`: `class_counts` are the training samples of
each class, and `loss(logits (N, C), target (N,))` is one number, the mean over the batch.
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
