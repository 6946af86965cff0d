"""Adam: a step for each weight, scaled by how large its gradients have been lately."""

from __future__ import annotations

from typing import Any

from torch import optim

from netwright.core.config import config, setting
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS, fusible


@config
class AdamOptions(OptimCommon):
    """A rate, and how long the two moments remember."""

    lr: float = setting(1e-3, gt=0, help="learning rate", search=(1e-5, 1e-1))
    beta1: float = setting(0.9, ge=0, lt=1, help="memory of the mean gradient")
    beta2: float = setting(0.999, ge=0, lt=1, help="memory of the mean squared gradient")
    eps: float = setting(1e-8, gt=0, help="added to the root of the mean square")


@OPTIMIZERS.register("adam", options=AdamOptions, paper="Kingma & Ba 2015, Adam")
def adam(groups: list[dict[str, Any]], options: AdamOptions) -> optim.Optimizer:
    """Adam: w = w - lr m / (sqrt(v) + eps), m and v moving averages freed of their zero start.

    m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2, divided by 1 - beta^t.
    Weight decay is added to the gradient and so is scaled with it; `adamw` does not.
    """
    return optim.Adam(
        groups,
        lr=options.lr,
        betas=(options.beta1, options.beta2),
        eps=options.eps,
        fused=fusible(groups),
    )
