"""Mean squared error: the square of the distance to 1 for the class and 0 for the others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses._one_hot import Compared, compared, one_hot


@config
class MSEOptions:
    """What is compared with the target."""

    on: Compared = setting("logits", help="compare the logits themselves, or their softmax")


@LOSSES.register(
    "mse",
    options=MSEOptions,
    paper="Legendre 1805; for classes Hui & Belkin 2021; on softmax Brier 1950",
)
def mse(options: MSEOptions, class_counts: Sequence[int]) -> Loss:
    """Mean squared error: the mean of (x - y)^2 over samples and classes.

    Logits (N, C, ...) and target (N, ...) to one number. y is 1 for the target's class and 0 for
    the others; x are the logits, or their softmax, which makes it Brier's score divided by C. It is
    the likelihood of Gaussian noise around x.

    When to use it: numbers with Gaussian noise; for classes on logits it is linear discriminant
    analysis by gradient descent, and rivals cross-entropy.

    What goes wrong: on softmax, as after a sigmoid, a sample that is surely wrong has almost no
    gradient (p (1 - p) is 0) and stays wrong: at a logit of -8 it is -0.0007 where cross-entropy
    has -0.9997. The mean over C classes makes gradients small where there are many. One far value
    outweighs the rest: then `huber` or `l1`.

    >>> import torch
    >>> loss = mse(MSEOptions(), [5, 5])
    >>> float(loss(torch.tensor([[3.0, 1.0]]), torch.tensor([0])))  # (2^2 + 1^2) / 2
    2.5
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.mse_loss(compared(logits, options.on), one_hot(target, logits))

    return loss
