"""What a framework hands out in place of a model or an optimizer, and what stands behind it.

Accelerate, Fabric and Lightning give an optimizer of their own around torch's, which takes the
steps; Fabric gives a module around the model. The doctor looks at what trains: names, rates and
hooks are then those of a plain loop.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

DEEPEST = 8
"""Wrappers around one another that are looked through."""


def bare_optimizer(optimizer: Any) -> Any:
    """The optimizer that takes the steps of `optimizer`; one of torch's is that itself.

    A wrapper takes the name of torch's class without being one: it has no hooks. (An optimizer
    around another that was made in earnest, as Lookahead is, has its own, and steps for itself.)

    >>> import torch
    >>> class Wrapper(Optimizer):
    ...     def __init__(self, optimizer):
    ...         self.optimizer = optimizer
    >>> plain = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> bare_optimizer(Wrapper(Wrapper(plain))) is plain, bare_optimizer(plain) is plain
    (True, True)
    """
    for _ in range(DEEPEST):
        if not isinstance(optimizer, Optimizer) or "_optimizer_step_pre_hooks" in vars(optimizer):
            break
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, Optimizer):
            break
        optimizer = inner
    return optimizer


def redirected(module: nn.Module) -> bool:
    """Whether this one call of `module` runs another of its methods: where Lightning's and Fabric's
    strategies need a call of the module, they put `training_step` in the place of `forward`. What
    that calls is called by the loop."""
    forward = vars(module).get("forward")
    if getattr(forward, "__name__", "") != "wrapped_forward":
        return False
    return str(getattr(forward, "__module__", "")).startswith(("lightning", "pytorch_lightning"))


def bare_model(model: nn.Module) -> nn.Module:
    """The module that Fabric's own passes on to; any other module as it is.

    >>> layer = nn.Linear(1, 1)
    >>> bare_model(layer) is layer
    True
    """
    for _ in range(DEEPEST):
        inner = getattr(model, "module", None) if type(model).__name__ == "_FabricModule" else None
        if not isinstance(inner, nn.Module):
            break
        model = inner
    return model
