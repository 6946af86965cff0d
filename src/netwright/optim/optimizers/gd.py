"""Gradient descent on the whole training set: the exact direction, one step an epoch."""

from __future__ import annotations

from typing import Any

from torch import optim

from netwright.core.config import config, setting
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS, fusible


@config
class GDOptions(OptimCommon):
    """A rate, and nothing else."""

    lr: float = setting(0.1, gt=0, help="learning rate", search=(1e-3, 2.0))


@OPTIMIZERS.register("gd", options=GDOptions, batch="all", paper="Cauchy 1847")
def gd(groups: list[dict[str, Any]], options: GDOptions) -> optim.Optimizer:
    """Gradient descent: w = w - lr g, where g is the mean gradient of all training images.

    Weight decay is added to the gradient (g = g + wd w). The rule is that of `sgd` without
    momentum; what makes it gradient descent is the fact `batch="all"`, by which a step takes the
    whole training set.

    When to use it: to see the loss without noise, for a convex model such as softmax regression, or
    on a few hundred images.

    What goes wrong: a step costs a whole epoch, so on redundant data it comes to the same loss
    after many times the work of small batches (softmax regression on the digits: 11 epochs' worth
    of gradients, 0.76 with batches of 16). Above 2 / L (L the largest curvature of the loss) it
    diverges, however convex the problem. Large sets do not fit: every activation of all images is
    kept for the backward pass.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = gd([{"params": [weight], "weight_decay": 0.0}], GDOptions(lr=0.1))
    >>> weight.grad = torch.tensor([2.0])
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.8
    """
    return optim.SGD(groups, lr=options.lr, fused=fusible(groups))
