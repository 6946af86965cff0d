"""AdamW: Adam with weight decay that does not pass through the scaling."""

from __future__ import annotations

from typing import Any

from torch import optim

from netwright.core.config import config, setting
from netwright.optim.groups import OptimCommon
from netwright.optim.optimizers import OPTIMIZERS, fusible


@config
class AdamWOptions(OptimCommon):
    """A rate, a decay, and how long the two moments remember."""

    lr: float = setting(1e-3, gt=0, help="learning rate", search=(1e-5, 1e-1))
    wd: float = setting(0.01, ge=0, help="weight decay", search=(1e-4, 1.0))
    beta1: float = setting(0.9, ge=0, lt=1, help="memory of the mean gradient")
    beta2: float = setting(0.999, ge=0, lt=1, help="memory of the mean squared gradient")
    eps: float = setting(1e-8, gt=0, help="added to the root of the mean square")


@OPTIMIZERS.register(
    "adamw", options=AdamWOptions, paper="Loshchilov & Hutter 2019, Decoupled weight decay"
)
def adamw(groups: list[dict[str, Any]], options: AdamWOptions) -> optim.Optimizer:
    """Adam with decoupled decay: w = (1 - lr wd) w before the step of Adam.

    In Adam a decay added to the gradient is divided by the same root as the gradient, so weights
    with large gradients are hardly decayed; here all are decayed alike. All else is as in `adam`.
    Biases and norms are spared (`optim.spare`).

    When to use it: wherever Adam is used with weight decay; the usual choice for transformers and
    for fine-tuning.

    What goes wrong: the decay of a step is lr times wd, so a smaller rate decays less, and a
    schedule that ends at 0 ends the decay as well. `wd` means something else than in `sgd` and is
    usually a hundred times larger: 0.01 to 0.1. The first rate and the rest are as delicate as
    Adam's.

    >>> import torch
    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = adamw([{"params": [weight], "weight_decay": 0.5}], AdamWOptions(lr=0.01))
    >>> weight.grad = torch.tensor([5.0])
    >>> optimizer.step()
    >>> round(weight.item(), 4)  # (1 - 0.01 0.5) 1 - 0.01
    0.985
    """
    return optim.AdamW(
        groups,
        lr=options.lr,
        betas=(options.beta1, options.beta2),
        eps=options.eps,
        fused=fusible(groups),
    )
