"""Weights of the classes, for the losses that take them: how much a sample of each counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from netwright.core.config import show
from netwright.core.errors import SettingError

ClassWeights: TypeAlias = Literal["none", "balanced"] | tuple[float, ...] | None


def weights_of(chosen: ClassWeights, class_counts: Sequence[int]) -> Tensor | None:
    """The weights that the setting `loss.class_weights` asks for, float32 (C,); None for none.

    Raises `SettingError` for a list that does not fit the classes or is no list of weights.
    """
    if chosen is None or chosen == "none":
        return None
    if chosen == "balanced":
        return torch.tensor(balanced(class_counts))
    weights = [float(each) for each in chosen]
    if len(weights) != len(class_counts):
        raise SettingError(
            "loss.class_weights: {given} weights for {classes} classes.",
            hint="Give one number a class, in the order of the classes, or write balanced.",
            given=len(weights),
            classes=len(class_counts),
        )
    if not all(math.isfinite(each) and each >= 0 for each in weights) or not any(weights):
        raise SettingError(
            "loss.class_weights: {weights} is not allowed: "
            "expected numbers of at least 0, one of them above.",
            weights=show(weights),
        )
    return torch.tensor(weights)


def balanced(class_counts: Sequence[int]) -> list[float]:
    """Weights N / (C * n_c) that make every class count the same, whatever its size.

    N and C count samples and classes of those that have any: the weighted samples then still
    sum to N. A class without a sample gets 1, which no sample ever sees.

    >>> balanced([30, 10])
    [0.6666666666666666, 2.0]
    """
    present = [count for count in class_counts if count > 0]
    total = sum(present)
    return [total / (len(present) * count) if count > 0 else 1.0 for count in class_counts]


def weights_beside(loss: nn.Module, logits: Tensor) -> Tensor | None:
    """The buffer `weights` of a loss, moved once to where the logits are."""
    weights: Tensor | None = loss._buffers["weights"]
    if weights is not None and weights.device != logits.device:
        # Set only then: a module looks at what it is given for some 10 us.
        loss._buffers["weights"] = weights = weights.to(logits.device)
    return weights


def divisor(weights: Tensor | None, target: Tensor) -> float:
    """What a weighted mean over `target` (N, ...) is divided by: the weights of its samples.

    >>> divisor(torch.tensor([1.0, 3.0]), torch.tensor([0, 1, 1])), divisor(None, torch.ones(5))
    (7.0, 5.0)
    """
    if weights is None:
        return float(target.numel())
    return float(weights.to(target.device)[target].sum())
