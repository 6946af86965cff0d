"""One weight update: gradients checked, measured, clipped and applied.

What most tasks do between `backward` and the next batch, in one place, so that a task with two
optimizers says it twice and none says it wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

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
    gradients = _gradients(optimizer)
    norm = nn.utils.get_total_norm(gradients)
    _refuse_non_finite(optimizer, loss, norm)
    if clip is not None and float(norm) > clip:
        torch._foreach_mul_(gradients, clip / (norm + 1e-6))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def apply_closure(optimizer: Optimizer, compute: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """One step of an optimizer that asks for the loss several times (L-BFGS).

    `compute()` makes the loss of the same batch under the same noise. Returns the loss and the
    norm of the gradients where the step began. Raises `NonFiniteError` before anything is
    changed; what a line search meets on its way it deals with itself.
    """
    begun: list[tuple[Tensor, Tensor]] = []

    def closure() -> Any:  # torch says float and wants a tensor
        optimizer.zero_grad(set_to_none=True)
        loss = compute()
        loss.backward()
        if not begun:
            norm = nn.utils.get_total_norm(_gradients(optimizer))
            _refuse_non_finite(optimizer, loss.detach(), norm)
            begun.append((loss.detach(), norm))
        return loss

    optimizer.step(closure)
    optimizer.zero_grad(set_to_none=True)
    return begun[0]


def set_rates(optimizer: Optimizer, base: Iterable[float], factor: float) -> None:
    """Set the learning rate of each parameter group to its base rate times `factor`."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    return [each.grad for each in parameters if each.grad is not None]


def _refuse_non_finite(optimizer: Optimizer, loss: Tensor, norm: Tensor) -> None:
    if not math.isfinite(float(loss + norm)):
        optimizer.zero_grad(set_to_none=True)
        blamed = "loss" if not math.isfinite(float(loss)) else "the norm of the gradients"
        raise NonFiniteError(blamed, float(loss if blamed == "loss" else norm))
