"""LeCun's initialisation: variance one over the number of inputs, whatever the activation."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from netwright.core.config import config, setting
from netwright.nn.initialisers import INITIALISERS, Fans, Gain


@config
class LeCunOptions:
    """By which law weights are drawn."""

    law: Literal["normal", "uniform"] = setting("normal", help="what weights are drawn from")
    gain: Gain = setting("auto", help="factor of the spread; auto: 1, as in the paper")


@INITIALISERS.register(
    "lecun",
    options=LeCunOptions,
    matched=False,
    paper="LeCun, Bottou, Orr & Mueller 1998, Efficient backprop, eq. 16",
)
def lecun(weight: Tensor, fans: Fans, gain: float, options: LeCunOptions) -> None:
    """LeCun: sd = gain / sqrt(fan_in) with gain 1; uniform in +-gain sqrt(3 / fan_in).

    For a weight (out, in / groups, ...) fan_in is the number of inputs of a unit. The paper leaves
    it to the activation to keep the variance (1.7159 tanh(2x/3) does), so the gain is not matched;
    with the gain of the activation it would be `he`.

    When to use it: SELU, which is made for it, the scaled tanh of LeNet-5, and layers without an
    activation.

    What goes wrong: with ReLU each layer halves the variance: a thousandth of it is left after ten.

    >>> import torch
    >>> weight = torch.empty(100, 400)
    >>> _ = torch.manual_seed(0)
    >>> lecun(weight, Fans(400, 100), 1.0, LeCunOptions())
    >>> round(weight.std().item(), 2)  # 1 / sqrt(400)
    0.05
    """
    spread = gain / math.sqrt(fans.inputs)
    if options.law == "normal":
        weight.normal_(0.0, spread)
    else:
        weight.uniform_(-math.sqrt(3) * spread, math.sqrt(3) * spread)
