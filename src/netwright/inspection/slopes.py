"""How steep an activation is where its inputs lie: which values are saturated, which units dead.

The slope is taken by automatic differentiation of the function itself, so it holds for every
function that works element by element; its steepest is looked for on a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SATURATED = 0.05
"""A value is saturated where the slope is below this part of the steepest."""

DEAD = 1e-3
"""A unit is dead where the slope is below this part of the steepest for every sample."""

ACTIVATIONS = {
    "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish",
    "hardswish", "hardtanh", "hardsigmoid", "softplus", "softsign", "tanh", "sigmoid",
    "logsigmoid", "threshold", "hardshrink", "softshrink", "tanhshrink",
}  # fmt: skip
"""Functions of torch that work element by element, by name; in-place forms end in `_`."""


@dataclass(frozen=True, kw_only=True)
class Flatness:
    """Shares of flat values and of dead units, as in `StageState`."""

    saturated: float
    dead: float
    seen: int
    squashes: bool


def flatness(
    function: Callable[[Tensor], Tensor], values: Tensor, *, unit_dim: int, name: str
) -> Flatness:
    """How flat `function` is at `values`, whose units lie along `unit_dim`.

    >>> x = torch.tensor([[-9.0, 0.0], [9.0, 0.5]])
    >>> flatness(torch.tanh, x, unit_dim=1, name="tanh")
    Flatness(saturated=0.5, dead=0.5, seen=2, squashes=True)
    """
    slope = _slope(function, values).abs()
    steepest, squashes = _shape(function, values, name)
    steepest = max(steepest, float(slope.nan_to_num(0.0, 0.0, 0.0).max()))
    of_unit = slope.movedim(unit_dim, 0).flatten(1)
    return Flatness(
        saturated=float((slope < SATURATED * steepest).float().mean()),
        dead=float((of_unit < DEAD * steepest).all(dim=1).float().mean()),
        seen=of_unit.shape[1],
        squashes=squashes,
    )


def _slope(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = values.detach().clone().requires_grad_()
        # Times one: a function that works in place may not be given the leaf itself.
        return torch.autograd.grad(function(leaf * 1).sum(), leaf)[0]


def _shape(function: Callable[[Tensor], Tensor], values: Tensor, name: str) -> tuple[float, bool]:
    """The steepest slope, and whether both ends are flat and the middle is not.

    ReLU6 is flat at both ends as well, but all below 0 is flat there: its healthy half.
    """
    if name == "prelu":  # its weight fits one number of channels only, and the rule is known
        return 1.0, False
    grid = torch.linspace(-20, 20, 801, device=values.device, dtype=torch.float64)
    slope = _slope(function, grid.to(values.dtype)).abs().double()
    steepest = float(slope.max())
    flat = slope < SATURATED * steepest
    middle = int((grid + 0.5).abs().argmin())
    return steepest, bool(flat[0] and flat[-1] and not flat[middle])
