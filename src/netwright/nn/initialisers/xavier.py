"""Xavier initialisation: a compromise between the spread of activations and of gradients."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from netwright.core.config import config, setting
from netwright.nn.initialisers import INITIALISERS, Fans, Gain


@config
class XavierOptions:
    """By which law weights are drawn."""

    law: Literal["uniform", "normal"] = setting("uniform", help="what weights are drawn from")
    gain: Gain = setting("auto", help="factor of the spread; auto: matched to the activation")


@INITIALISERS.register(
    "xavier",
    options=XavierOptions,
    paper="Glorot & Bengio 2010, Understanding the difficulty of training, eq. 16",
)
def xavier(weight: Tensor, fans: Fans, gain: float, options: XavierOptions) -> None:
    """Xavier (Glorot): uniform in +-gain sqrt(6 / (in + out)), sd = gain sqrt(2 / (in + out)).

    For a weight (out, in / groups, ...) in is the number of inputs of a unit and out the number of
    units that an input reaches: a compromise between keeping the spread of activations (in) and of
    gradients (out). The paper's gain is 1, for activations that are a straight line near 0 (tanh of
    small numbers); here it is matched to the activation unless it is given.

    When to use it: tanh, and layers whose inputs and outputs are about as many.

    What goes wrong: with gain 1 and ReLU each layer halves the variance, a thousandth of it is left
    after ten. A layer with far more outputs than inputs keeps neither spread. 1 / sqrt(n), which
    some texts call Xavier, is `lecun`; the two agree where in = out.

    >>> import torch
    >>> weight = torch.empty(100, 200)
    >>> xavier(weight, Fans(200, 100), 1.0, XavierOptions())
    >>> bool(weight.abs().max() <= (6 / 300) ** 0.5)
    True
    """
    spread = gain * math.sqrt(2 / (fans.inputs + fans.outputs))
    if options.law == "normal":
        weight.normal_(0.0, spread)
    else:
        weight.uniform_(-math.sqrt(3) * spread, math.sqrt(3) * spread)
