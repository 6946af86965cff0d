"""Cross-entropy between the softmax of the logits and the target: classification's loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from netwright.core.config import config, setting, show
from netwright.core.errors import SettingError
from netwright.nn.losses import LOSSES


@config
class CrossEntropyOptions:
    """How sure the target is, and how much each class counts."""

    smoothing: float = setting(
        0.0, ge=0, lt=1, help="share of the target spread over all classes", search=(0.0, 0.2)
    )
    class_weights: Literal["none", "balanced"] | tuple[float, ...] | None = setting(
        "none", help="weight of each class: none, balanced, or a list with one number a class"
    )


@LOSSES.register("cross_entropy", options=CrossEntropyOptions)
def cross_entropy(options: CrossEntropyOptions, class_counts: Sequence[int]) -> CrossEntropy:
    """Softmax cross-entropy with label smoothing and class weights.

    Raises `SettingError` for a list of weights that does not fit the classes.

    >>> loss = cross_entropy(CrossEntropyOptions(), [5, 5])
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)  # -log(1/2)
    0.6931
    """
    return CrossEntropy(options.smoothing, _weights(options, class_counts))


class CrossEntropy(nn.Module):
    """-sum_c w_c q_c log softmax(logits)_c, divided by the weights of the targets in the batch.

    q is 1 - smoothing + smoothing/C for the target and smoothing/C for the others (Szegedy et
    al. 2016, "Rethinking the Inception architecture", section 7).
    """

    weights: Tensor | None

    def __init__(self, smoothing: float, weights: Sequence[float] | None) -> None:
        super().__init__()
        self.smoothing = smoothing
        # Not part of a checkpoint: it follows from the data and the settings.
        made = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("weights", made, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = self.weights
        if weights is not None and weights.device != logits.device:
            weights = self.weights = weights.to(logits.device)
        return nn.functional.cross_entropy(
            logits, target, weight=weights, label_smoothing=self.smoothing
        )


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


def _weights(options: CrossEntropyOptions, class_counts: Sequence[int]) -> list[float] | None:
    chosen = options.class_weights
    if chosen is None or chosen == "none":
        return None
    if chosen == "balanced":
        return balanced(class_counts)
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
    return weights
