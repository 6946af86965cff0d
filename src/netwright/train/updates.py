"""One weight update: gradients checked, measured, clipped and applied.

What most tasks do between `backward` and the next batch, in one place, so that a task with two
optimizers says it twice and none says it wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from netwright.optim.loss_scale import LossScale
from netwright.train.task import NonFiniteError

Norm: TypeAlias = Callable[[list[Tensor]], float]


def apply_gradients(
    optimizer: Optimizer, loss: Tensor, *, clip: float | None = None, norm_of: Norm | None = None
) -> tuple[float, float]:
    """Update with the gradients that `backward` left, then clear them.

    `loss` is the scalar they came from. Returns it and the total norm of the gradients, taken
    before they are clipped to `clip` (None: not clipped). Raises `NonFiniteError`, with no weight
    changed, when the loss or the norm is NaN or infinite: one number says it for all gradients.
    `norm_of` stands for `total_norm` where an optimizer has a part of the gradients only.
    """
    parameters = _parameters(optimizer)
    gradients = _gradients(parameters)
    norm = (norm_of or total_norm)(gradients)
    value = _finite_value(parameters, loss, norm)
    if clip is not None and norm > clip:
        torch._foreach_mul_(gradients, clip / (norm + 1e-6))
    take_step(optimizer)
    _clear(parameters)
    return value, norm


def apply_scaled(
    optimizer: Optimizer,
    loss: Tensor,
    scale: LossScale,
    *,
    clip: float | None = None,
    norm_of: Norm | None = None,
) -> tuple[float, float]:
    """`apply_gradients` where `backward` began from `loss` times `scale.factor`.

    Where the gradients overflowed nothing is changed but the scale, and the norm is NaN. Raises
    `NonFiniteError` for a loss that is not finite, and for gradients that overflow at every scale.
    """
    parameters = _parameters(optimizer)
    gradients = _gradients(parameters)
    if gradients:
        torch._foreach_mul_(gradients, 1 / scale.factor)
    value, norm = loss.item(), (norm_of or total_norm)(gradients)
    scale.took(finite=math.isfinite(norm))
    if math.isfinite(value) and not math.isfinite(norm) and not scale.is_spent:
        _clear(parameters)
        return value, math.nan
    return apply_gradients(optimizer, loss, clip=clip, norm_of=norm_of)


def apply_closure(optimizer: Optimizer, compute: Callable[[], Tensor]) -> tuple[float, float]:
    """One step of an optimizer that asks for the loss several times (L-BFGS).

    `compute()` leaves the gradients of the same batch under the same noise and returns its loss,
    detached. Returns the loss and the norm of the gradients where the step began. Raises
    `NonFiniteError` before anything is changed; what a line search meets on its way it deals with
    itself.
    """
    begun: list[tuple[float, float]] = []
    parameters = _parameters(optimizer)

    def closure() -> Any:  # torch says float and wants a tensor
        _clear(parameters)
        loss = compute()
        if not begun:
            norm = total_norm(_gradients(parameters))
            begun.append((_finite_value(parameters, loss, norm), norm))
        return loss

    optimizer.step(closure)
    _clear(parameters)
    return begun[0]


def take_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`, without torch's wrapping where nothing would come of it.

    torch wraps each optimizer's step to run hooks and to mark it for the profiler, at some 30 to
    90 us a step. While there are neither hooks, of this optimizer or of all, nor a profiler, nor
    a `step` put in the place of the class's own, the function within is called.
    """
    step = type(optimizer).step
    inner = getattr(step, "__wrapped__", None)
    if inner is None or not hasattr(step, "hooked") or _watched(optimizer):
        optimizer.step()
    else:
        inner(optimizer)


def _watched(optimizer: Optimizer) -> bool:
    """Whether someone may want to know of a step."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or _global_optimizer_pre_hooks
        or _global_optimizer_post_hooks
        or "step" in vars(optimizer)
        or torch._C._autograd._profiler_enabled()
    )


def set_rates(optimizer: Optimizer, base: Iterable[float], factor: float) -> None:
    """Set the learning rate of each parameter group to its base rate times `factor`."""
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = rate * factor


def total_norm(gradients: list[Tensor]) -> float:
    """The Euclidean norm of all `gradients` together.

    Between two convolutions on a CPU the caches are cold and an operation on a scalar costs some
    15 us, a number read out of one 2 us: so they are added up here, and the loop is 150 us
    faster a step than with `nn.utils.get_total_norm`. On a GPU each reading would be a wait.
    """
    if not gradients:
        return 0.0
    norms = torch._foreach_norm(gradients)
    if gradients[0].device.type != "cpu":
        return torch.linalg.vector_norm(torch.stack(norms)).item()
    numbers = [each.item() for each in norms]
    return math.sqrt(sum(each * each for each in numbers))


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [each for group in optimizer.param_groups for each in group["params"]]


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [each.grad for each in parameters if each.grad is not None]


def _clear(parameters: Iterable[Tensor]) -> None:
    """What `zero_grad(set_to_none=True)` does, without its 60 us of book-keeping."""
    for each in parameters:
        each.grad = None


def _finite_value(parameters: Iterable[Tensor], loss: Tensor, norm: float) -> float:
    value = loss.item()
    if not math.isfinite(value + norm):
        _clear(parameters)
        if math.isfinite(value):
            raise NonFiniteError("the norm of the gradients", norm)
        raise NonFiniteError("loss", value)
    return value
