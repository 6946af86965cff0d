"""Huber's loss: squared near the target, absolute far from it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses._one_hot import Compared, compared, one_hot


@config
class HuberOptions:
    """What is compared with the target, and where the parabola ends."""

    delta: float = setting(
        0.5, gt=0, help="distance at which the square turns into a line", search=(0.05, 5.0)
    )
    on: Compared = setting("logits", help="compare the logits themselves, or their softmax")


@LOSSES.register(
    "huber",
    options=HuberOptions,
    paper="Huber 1964, Robust estimation of a location parameter",
)
def huber(options: HuberOptions, class_counts: Sequence[int]) -> Loss:
    """Huber's loss: the mean of d^2 / 2 for |d| up to delta, delta (|d| - delta / 2) beyond.

    Logits (N, C, ...) and target (N, ...) to one number, the mean over samples and classes. d = x -
    y; y is 1 for the target's class and 0 for the others; x are the logits or their softmax. Half
    of `mse` for small errors, delta times `l1` for large ones; "smooth L1" is this divided by
    delta.

    When to use it: numbers with some outliers (boxes, rewards).

    What goes wrong: delta has the unit of the target, so that a delta for pixels makes meters all
    parabola; and a small delta makes the gradient small as well. For classes it has no edge over
    `mse`: y is 0 or 1 and never an outlier.

    >>> import torch
    >>> loss = huber(HuberOptions(delta=1.0), [5, 5])
    >>> float(loss(torch.tensor([[3.0, 1.0]]), torch.tensor([0])))  # (1 (2 - 0.5) + 1^2 / 2) / 2
    1.0
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.huber_loss(
            compared(logits, options.on), one_hot(target, logits), delta=options.delta
        )

    return loss
