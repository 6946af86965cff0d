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

        m = beta1 m + (1 - beta1) g,    divided by 1 - beta1^t
        v = beta2 v + (1 - beta2) g^2,  divided by 1 - beta2^t

    m and v have the shape of w and begin at 0; t counts steps from 1. The first step is `lr` long
    for every weight, whatever the size of its gradient. Weight decay is added to the gradient and
    so is scaled with it; `adamw` does not.

    When to use it: when the rate cannot be searched for long: 0.001 works widely; layers or inputs
    whose gradients differ by orders of magnitude. It is Momentum and RMSProp together.

    What goes wrong: it is not better than SGD everywhere: with the rate tuned for each, five
    optimizers ended between 0.947 and 0.956 on the digits, no difference within the noise, and on
    larger tasks tuned SGD with momentum often generalises as well. Decay through the gradient
    hardly decays weights with large gradients: use `adamw`. It keeps two numbers for each weight
    besides the gradient. With beta2 of 0.999 a rare large gradient slows a weight for a thousand
    steps; v is small in the first steps, where warm-up (`sched.warmup=1`) steadies deep networks.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = adam([{"params": [weight], "weight_decay": 0.0}], AdamOptions(lr=0.01))
    >>> weight.grad = torch.tensor([5.0])
    >>> optimizer.step()
    >>> round(weight.item(), 4)
    0.99
    """
    return optim.Adam(
        groups,
        lr=options.lr,
        betas=(options.beta1, options.beta2),
        eps=options.eps,
        fused=fusible(groups),
    )
