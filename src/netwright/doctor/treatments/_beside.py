"""A plain way from the inputs to the answers, beside the network that there is."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from netwright.doctor.quiet import quiet
from netwright.doctor.treatments._rows import sample
from netwright.doctor.trials.course import Course

WIDTH = 128

MOST = 4096
"""Numbers of a sample, in or out, above which a plain network is no light thing any more."""


class Beside(nn.Module):
    """`inner(x)` and what a plain network adds to it (Cheng et al. 2016, Wide & deep learning)."""

    def __init__(self, inner: nn.Module, plain: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        """Of samples of the shape that it was made for."""
        made: Tensor = self.inner(x)
        return made + self.plain(x).reshape(made.shape)


def beside(course: Course) -> Callable[[Course], None] | None:
    """Two hidden layers of 128 ReLUs on the flat inputs, that begin with adding nothing. None where
    inputs are no numbers, differ in shape, or there are too many."""
    inputs, _ = sample(course.train, 1)
    if not inputs.is_floating_point() or inputs.ndim < 2 or inputs[0].numel() > MOST:
        return None
    with quiet(course.model), torch.no_grad():
        try:
            made = course.model(inputs)
        except Exception:  # somebody's model
            return None
    if not isinstance(made, Tensor) or not made.is_floating_point() or len(made) != len(inputs):
        return None
    wide, out = inputs[0].numel(), math.prod(made.shape[1:])
    if not 0 < out <= MOST:
        return None

    def apply(each: Course) -> None:
        each.replace_modules({"": Beside(each.model, _plain(wide, out))})

    return apply


def _plain(wide: int, out: int) -> nn.Sequential:
    head = nn.Linear(WIDTH, out)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(wide, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, WIDTH), nn.ReLU(),
        head,
    )  # fmt: skip
