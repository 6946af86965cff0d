"""Activations by name, spelled as torch spells their functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import nn

ActivationName: TypeAlias = Literal[
    "relu", "leaky_relu", "prelu", "relu6", "elu", "selu", "gelu", "silu", "mish", "hardswish",
    "softplus", "tanh", "sigmoid",
]  # fmt: skip

_MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: ActivationName) -> nn.Module:
    """A fresh activation module; one for each place, so that a table of layers can name it.

    `prelu` has one slope for all channels, a parameter that starts at 0.25 (He, Zhang, Ren & Sun
    2015, "Delving deep into rectifiers"); the others have none.

    >>> activation("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    return _MODULES[name]()
