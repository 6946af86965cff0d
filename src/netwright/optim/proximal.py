"""The L1 penalty as a proximal step: after it, weights that do not matter are exactly 0.

The gradient of l1 |w| is +l1 or -l1 however small w is, so a gradient step jumps over 0 and
back: of a network trained that way no weight is 0. The proximal step instead moves each weight
towards 0 by lr l1 and stops there (Tibshirani 1996; Parikh & Boyd 2014, "Proximal algorithms",
section 6.5.2; ISTA: Daubechies, Defrise & De Mol 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def soft_threshold(weight: Tensor, amount: float) -> Tensor:
    """sign(w) max(|w| - amount, 0), for a tensor of any shape; `amount` is at least 0.

    It is the w' with the least (w' - w)^2 / 2 + amount |w'|.

    >>> soft_threshold(torch.tensor([3.0, -0.5, 0.25, -2.0]), 0.5)
    tensor([ 2.5000, -0.0000,  0.0000, -1.5000])
    """
    return weight.sign() * (weight.abs() - amount).clamp_min(0)


@torch.no_grad()
def proximal_step(groups: Iterable[Mapping[str, Any]], l1: float, *, spare: bool = True) -> None:
    """Shrink every weight of an optimizer's groups by lr l1, in place; to be called after `step`.

    `groups` are `optimizer.param_groups`, whose present rate is taken. With `spare`, parameters
    of fewer than two dimensions (biases, scales and shifts of norm layers) are left alone; those
    that are frozen (`requires_grad` false) always are.

    With SGD the two steps together are the proximal gradient method on loss + l1 |w|, exactly so
    without momentum. With optimizers that scale each weight's gradient (Adam) it is to L1 what
    decoupled decay is to L2: every weight shrinks alike, and l1 means something else.

    >>> weight = nn.Parameter(torch.tensor([[1.0, 0.03, -0.2]]))
    >>> proximal_step([{"params": [weight], "lr": 0.1}], l1=0.5)
    >>> weight.data
    tensor([[ 0.9500,  0.0000, -0.1500]])
    """
    if l1 == 0:
        return
    for group in groups:
        amount = float(group["lr"]) * l1
        trained = [each for each in group["params"] if each.requires_grad]
        weights = [each for each in trained if each.ndim >= 2 or not spare]
        if weights and amount > 0:
            # w - clamp(w, -amount, amount) is the soft threshold in three passes over memory.
            within = torch._foreach_clamp_max(weights, amount)
            torch._foreach_clamp_min_(within, -amount)
            torch._foreach_sub_(weights, within)


def share_of_zeros(model: nn.Module) -> float:
    """How many of the weights that can be shrunk (two dimensions and more) are exactly 0.

    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    >>> share_of_zeros(layer)
    0.25
    """
    weights = [each.detach() for each in model.parameters() if each.ndim >= 2]
    zeros = sum(int((each == 0).sum()) for each in weights)
    return zeros / max(1, sum(each.numel() for each in weights))
