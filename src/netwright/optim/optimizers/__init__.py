"""The optimizers, each a leaf of this folder: a builder `(groups, options) -> Optimizer`.

`groups` comes from `netwright.optim.groups.parameter_groups` and carries the weight decay of each
group; `options` is an instance of the leaf's options class, a kind of `OptimCommon`.

Choosing: `sgd` with momentum and a falling schedule for convolutional networks, `adamw` where the
rate cannot be searched for long or layers differ much. In the formulas g is the gradient, w a
weight, lr the rate; all is done for each weight by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from netwright.core.registry import Registry

OPTIMIZERS: Registry[Callable[[list[dict[str, Any]], Any], Optimizer]] = Registry(
    "optimizer", "netwright.optim.optimizers", listing="netwright ls optimizers"
)


def fusible(groups: list[dict[str, Any]]) -> bool:
    """Whether torch has one kernel for the whole update of these parameters.

    It has for real floating-point parameters on the processor and on CUDA. The result equals
    the plain loop up to rounding.
    """
    return all(
        each.is_floating_point() and each.device.type in ("cpu", "cuda")
        for group in groups
        for each in group["params"]
    )
