"""One weight update: gradients checked, measured, clipped and applied.

What most tasks do between `backward` and the next batch, in one place, so that a task with two
optimizers says it twice and none says it wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.train.task import NonFiniteError


def apply_gradients(optimizer: Optimizer, loss: Tensor, *, clip: float | None = None) -> Tensor:
    """Update with the gradients that `backward` left, then clear them.

    `loss` is the scalar they came from. The total norm of the gradients is taken before
    clipping to `clip` (None: not clipped) and returned. Raises `NonFiniteError`, with no weight
    changed, when the loss or the norm is NaN or infinite: one number says it for all gradients.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    gradients = [each.grad for each in parameters if each.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if not math.isfinite(float(loss + norm)):
        optimizer.zero_grad(set_to_none=True)
        blamed = "loss" if not math.isfinite(float(loss)) else "the norm of the gradients"
        raise NonFiniteError(blamed, float(loss if blamed == "loss" else norm))
    if clip is not None and float(norm) > clip:
        torch._foreach_mul_(gradients, clip / (norm + 1e-6))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def set_rates(optimizer: Optimizer, base: Iterable[float], factor: float) -> None:
    """Set the learning rate of each parameter group to its base rate times `factor`."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor
