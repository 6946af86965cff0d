"""Functions that have no finite value everywhere, with a small number put between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netwright.doctor.treatments._losses import Called, Rewrites
from netwright.doctor.trials.course import Course, Loss

Guard = Literal["logarithm", "quotient", "exponent"]

EPSILON = 1e-8
ROOT = 1e-12
HIGHEST = 20.0

LOGARITHMS: tuple[Called, ...] = (
    torch.log, Tensor.log, torch.log2, Tensor.log2, torch.log10, Tensor.log10,
)  # fmt: skip
QUOTIENTS: tuple[Called, ...] = (
    torch.div,
    Tensor.div,
    Tensor.__truediv__,
    torch.true_divide,
    Tensor.true_divide,
    torch.divide,
)
INVERSES: tuple[Called, ...] = (
    torch.rsqrt, Tensor.rsqrt, torch.reciprocal, Tensor.reciprocal, Tensor.__rtruediv__,
)  # fmt: skip
ROOTS: tuple[Called, ...] = (torch.sqrt, Tensor.sqrt)
POWERS: tuple[Called, ...] = (torch.pow, Tensor.pow, Tensor.__pow__, Tensor.float_power)
EXPONENTIALS: tuple[Called, ...] = (torch.exp, Tensor.exp, torch.expm1, Tensor.expm1)


def _logarithm(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in LOGARITHMS:
        args = (args[0].clamp_min(EPSILON), *args[1:])
    if func in (torch.log1p, Tensor.log1p):
        args = (args[0].clamp_min(EPSILON - 1), *args[1:])
    return func(*args, **kwargs)


def _quotient(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in QUOTIENTS and len(args) > 1 and isinstance(args[1], Tensor):
        args = (args[0], away_from_0(args[1]), *args[2:])
    if func in INVERSES:
        args = (away_from_0(args[0]), *args[1:])
    if func in ROOTS:
        args = (args[0].clamp_min(0) + ROOT, *args[1:])
    if func in POWERS and len(args) > 1 and _broken(*args[:2]):
        # Of a number below 0 the power of its size, with its sign: nothing it tells is lost.
        return args[0].sign() * func(args[0].abs() + ROOT, *args[1:], **kwargs)
    return func(*args, **kwargs)


def _broken(base: Any, exponent: Any) -> bool:
    """Whether it is a power that no number below 0 has."""
    return (
        isinstance(base, Tensor)
        and base.is_floating_point()
        and isinstance(exponent, float)
        and not exponent.is_integer()
    )


def _exponent(func: Called, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in EXPONENTIALS:
        args = (args[0].clamp_max(HIGHEST), *args[1:])
    return func(*args, **kwargs)


GUARDS: dict[Guard, Callable[[Called, tuple[Any, ...], dict[str, Any]], Any]] = {
    "logarithm": _logarithm, "quotient": _quotient, "exponent": _exponent,
}  # fmt: skip


def away_from_0(x: Tensor) -> Tensor:
    """
    >>> away_from_0(torch.tensor([2.0, 0.0, -1e-12])).tolist()
    [2.0, 9.99999993922529e-09, -9.99999993922529e-09]
    """
    if not x.is_floating_point():
        return x
    least = torch.where(x < 0, -EPSILON, EPSILON).to(x.dtype)
    return torch.where(x.abs() < EPSILON, least, x)


@dataclass(frozen=True)
class GuardedLoss:
    """The loss, in which such functions are guarded."""

    loss: Loss
    guard: Guard

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        with Rewrites(GUARDS[self.guard]):
            return self.loss(output, target)


class Guarded(nn.Module):
    """A module, in whose forward pass such functions are guarded."""

    def __init__(self, module: nn.Module, guard: Guard) -> None:
        super().__init__()
        self.module, self.guard = module, guard

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with Rewrites(GUARDS[self.guard]):
            return self.module(*args, **kwargs)


def guarded(course: Course, paths: tuple[str, ...], guard: Guard) -> None:
    """In these modules, or in the loss where none is named."""
    if not paths:
        course.loss = GuardedLoss(course.loss, guard)
    course.replace_modules(
        {path: Guarded(course.model.get_submodule(path), guard) for path in paths}
    )
