"""Mean absolute error: the distance to 1 for the class and 0 for the others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses._one_hot import Compared, compared, one_hot


@config
class L1Options:
    """What is compared with the target."""

    on: Compared = setting("logits", help="compare the logits themselves, or their softmax")


@LOSSES.register(
    "l1",
    options=L1Options,
    paper="Laplace 1774; for classes Ghosh, Kumar & Sastry 2017, Robust loss functions",
)
def l1(options: L1Options, class_counts: Sequence[int]) -> Loss:
    """Mean absolute error (MAE): the mean of |x - y| over samples and classes.

    Logits (N, C, ...) and target (N, ...) to one number. y is 1 for the target's class and 0 for
    the others; x are the logits or their softmax, for which it is 2 (1 - p) / C, with p that of the
    target's class. This is the loss; `optim.l1`, which pulls weights to 0, is something else.

    When to use it: numbers with outliers, since it asks for the median; on softmax with many wrong
    labels, which then weigh no more than right ones.

    What goes wrong: the gradient has the same size however small the error, so it rattles around
    the answer unless the rate falls. On logits all 0 is right for C - 1 of C numbers, which a
    network is slow to leave. On softmax a sample that is surely wrong has almost no gradient, so
    that many classes are learned slowly or not at all.

    >>> import torch
    >>> loss = l1(L1Options(), [5, 5])
    >>> float(loss(torch.tensor([[3.0, 1.0]]), torch.tensor([0])))  # (2 + 1) / 2
    1.5
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.l1_loss(compared(logits, options.on), one_hot(target, logits))

    return loss
