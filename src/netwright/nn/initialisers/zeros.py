"""All weights zero: the start from which a network of two layers never learns."""

from __future__ import annotations

from torch import Tensor

from netwright.core.config import config
from netwright.nn.initialisers import INITIALISERS, Fans


@config
class ZerosOptions:
    """Nothing to choose."""


@INITIALISERS.register(
    "zeros",
    options=ZerosOptions,
    teaching=True,
    paper="Rumelhart, Hinton & Williams 1986, on breaking symmetry",
)
def zeros(weight: Tensor, fans: Fans, gain: float, options: ZerosOptions) -> None:
    """w = 0, for teaching: every unit of a layer computes the same, and learns the same, for ever.

    With ReLU not even that: no gradient passes a layer whose weights are 0, and only the last bias
    moves.

    When to use it: to show that; for softmax regression (`mlp` with `model.hidden=[]`), which is
    convex and starts from 0 as well as from anywhere (0.963 from zero, 0.961 from random weights).
    Biases of 0 are no fault, they are usual; so are zeros in the last layer of a residual branch.

    What goes wrong: everything else.

    >>> import torch
    >>> weight = torch.ones(1, 2)
    >>> zeros(weight, Fans(2, 1), 1.0, ZerosOptions())
    >>> weight
    tensor([[0., 0.]])
    """
    weight.zero_()
