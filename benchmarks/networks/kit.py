"""What a network to be inspected is, and the formulas its multiply-adds are worked out with.

`macs` is worked out beside the network from the sizes in its paper or in its code, with the
functions below, and by nothing that looks at the network. Convention: products of contractions;
taps on padding count, biases, norms, activations and pooling do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""What goes to forward: (args, kwargs)."""
Sizes = int | tuple[int, ...]

NETWORKS: dict[str, Network] = {}


@dataclass(frozen=True)
class Network:
    """`build` and `inputs` run under the device they are for; `macs` is for that whole input."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Given]
    macs: int
    about: str = ""
    registered: str = ""
    """The name of the same network in Netwright, whose published multiply-adds are compared."""
    needs_values: bool = False
    """It branches on values: without any (meta, fake) a refusal is the right answer."""
    raises: bool = False
    """Its forward raises: the right answer is an error, and nothing left behind."""


def add(
    name: str,
    build: Callable[[], nn.Module],
    inputs: Callable[[], Given],
    macs: int,
    about: str = "",
    **facts: Any,
) -> None:
    assert name not in NETWORKS, name
    NETWORKS[name] = Network(name, build, inputs, macs, about, **facts)


def positional(*shapes: tuple[int, ...]) -> Callable[[], Given]:
    """Inputs of ones with these shapes, given by position."""
    return lambda: (tuple(torch.ones(shape) for shape in shapes), {})


def conv(cin: int, cout: int, kernel: Sizes, out: Sizes, *, groups: int = 1) -> int:
    """Every output position of every map: one product for each tap of its group's input maps.

    A single int is a square's side.
    """
    return cout * (cin // groups) * _places(kernel) * _places(out)


def transposed(cin: int, cout: int, kernel: Sizes, into: Sizes, *, groups: int = 1) -> int:
    """Every *input* position of every map: one product for each weight of its group."""
    return cin * (cout // groups) * _places(kernel) * _places(into)


def _places(sizes: Sizes) -> int:
    return sizes**2 if isinstance(sizes, int) else math.prod(sizes)


class Calls(nn.Module):
    """A network whose forward is a function of (itself, inputs): for the short ones."""

    def __init__(self, call: Callable[..., Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self._call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self, *args, **kwargs)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def norm_act(cin: int, cout: int, kernel: int, stride: int = 1, **more: Any) -> nn.Sequential:
    """Convolution that keeps the size (odd kernels, stride 1), batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False, **more),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


def ones(*shape: int) -> Tensor:
    return torch.ones(shape)
