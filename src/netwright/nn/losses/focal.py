"""Focal loss: cross-entropy in which a sample that is nearly right hardly counts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES
from netwright.nn.losses._class_weights import ClassWeights, divisor, weights_beside, weights_of


@config
class FocalOptions:
    """How little an easy sample counts, and how much each class does."""

    gamma: float = setting(
        2.0, ge=0, help="how fast easy samples fade; 0 is cross-entropy", search=(0.5, 5.0)
    )
    class_weights: ClassWeights = setting(
        "none", help="weight of each class: none, balanced, or a list with one number a class"
    )


@LOSSES.register(
    "focal",
    options=FocalOptions,
    paper="Lin et al. 2017, Focal loss for dense object detection, eq. 5",
)
def focal(options: FocalOptions, class_counts: Sequence[int]) -> Focal:
    """Focal loss: -w (1 - p)^gamma log p, with p the softmax of the target's class.

    Logits (N, C, ...) and target (N, ...) to one number. The paper's alpha is `class_weights`; the
    sum is divided by the weights of the targets, so that `gamma=0` is `cross_entropy`. A sample
    with p = 0.9 counts a hundredth of what it counts there (gamma 2), one with p = 0.1 four fifths.

    When to use it: very many easy samples beside few hard ones (detection, rare defects).

    What goes wrong: wrong labels are the hardest samples of all, and count most. The probabilities
    come out too modest. It is a fraction of cross-entropy, so that a rate or a weight decay tuned
    for the one does not fit the other. The paper also starts the last bias at the log-odds of a
    rare class; without that the many easy samples rule the first steps.

    >>> import torch
    >>> loss = focal(FocalOptions(), [5, 5])
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)  # log(2) / 4
    0.1733
    """
    return Focal(options.gamma, weights_of(options.class_weights, class_counts))


class Focal(nn.Module):
    """The mean of -w (1 - p)^gamma log p over a batch, by weights w."""

    weights: Tensor | None

    def __init__(self, gamma: float, weights: Tensor | None) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = weights_beside(self, logits)
        log_p = logits.log_softmax(1).gather(1, target.unsqueeze(1)).squeeze(1)
        # expm1 keeps 1 - p exact where p is nearly 1. Not below the smallest number: the slope
        # of x^gamma at 0 is infinite for gamma < 1, and 0 times infinity is no number.
        missing = (-log_p.expm1()).clamp_min(1e-12)
        each = -(missing**self.gamma) * log_p
        if weights is None:
            return each.mean()
        weights = weights[target]
        return (weights * each).sum() / weights.sum()

    def divisor(self, target: Tensor) -> float:
        """What the sum over a batch is divided by: see `netwright.optim.accumulation`."""
        return divisor(self.weights, target)
