"""He's initialisation: the spread of the activations stays, for ReLU and its kin."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from netwright.core.config import config, setting
from netwright.nn.initialisers import INITIALISERS, Fans, Gain


@config
class HeOptions:
    """Which spread is kept, and by which law."""

    law: Literal["normal", "uniform"] = setting("normal", help="what weights are drawn from")
    mode: Literal["fan_in", "fan_out"] = setting(
        "fan_in", help="keep the spread of activations (fan_in) or of gradients (fan_out)"
    )
    gain: Gain = setting("auto", help="factor of the spread; auto: matched to the activation")


@INITIALISERS.register(
    "he", options=HeOptions, paper="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers"
)
def he(weight: Tensor, fans: Fans, gain: float, options: HeOptions) -> None:
    """He (Kaiming): sd = gain / sqrt(fan), gain sqrt(2) for ReLU; uniform in +-gain sqrt(3 / fan).

    For a weight (out, in / groups, ...) fan is the number of inputs of a unit, kernel height x
    width x channels / groups; with `mode=fan_out` the number of units that an input reaches. ReLU
    sets half of what comes to 0 and so halves its mean square; the gain of sqrt(2) gives that back,
    and the spread of the signal is the same at every depth. The gain of other activations is the
    one that does the same (`netwright.nn.initialisation.gain`).

    When to use it: the default, for ReLU and what resembles it.

    What goes wrong: a residual branch adds its variance to that of the path beside it, which grows
    with depth unless a norm follows. torch's own default is smaller by sqrt(6), so that ten ReLU
    layers without norm lose nine tenths of the signal (spread 0.34 to 0.04): a network made
    elsewhere may need `init=he`. With a norm behind every layer the scale hardly matters.

    >>> import torch
    >>> weight = torch.empty(100, 200)
    >>> _ = torch.manual_seed(0)
    >>> he(weight, Fans(200, 100), 2**0.5, HeOptions())
    >>> round(weight.std().item(), 2)  # sqrt(2 / 200)
    0.1
    """
    fan = fans.inputs if options.mode == "fan_in" else fans.outputs
    spread = gain / math.sqrt(fan)
    if options.law == "normal":
        weight.normal_(0.0, spread)
    else:
        weight.uniform_(-math.sqrt(3) * spread, math.sqrt(3) * spread)
