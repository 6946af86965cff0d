"""First weights that keep the size of a signal from layer to layer.

For a layer with `fan_in` inputs a unit, weights of standard deviation `gain / sqrt(fan_in)` keep
the mean square of the activations the same at every depth. `gain` is sqrt(2) for ReLU, because
half of its outputs are 0 (He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", eq. 10).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from netwright.nn.activations import ActivationName

# ELU, GELU, SiLU and their like pass about half of the signal's power, as ReLU does. SELU's own
# scale makes up for its loss (Klambauer, Unterthiner, Mayr & Hochreiter 2017); 0.25 is the slope
# at which PReLU starts. Softplus is near log 2 whatever comes in: no gain keeps its power.
_GAINS: dict[str, float] = {
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "prelu": math.sqrt(2 / (1 + 0.25**2)),
    "relu6": math.sqrt(2),
    "elu": math.sqrt(2),
    "selu": 1.0,
    "gelu": math.sqrt(2),
    "silu": math.sqrt(2),
    "mish": math.sqrt(2),
    "hardswish": math.sqrt(2),
    "softplus": 1.0,
    "tanh": 5 / 3,
    "sigmoid": 1.0,
}


@torch.no_grad()
def initialise(model: nn.Module, act: ActivationName, *, head: nn.Module | None = None) -> None:
    """Draw every convolution and linear layer of `model` from He's normal law, biases 0.

    `act` is the activation that follows them; `head` is the layer that none follows, the one
    that makes the logits: its gain is 1. Norm layers keep torch's scale 1 and shift 0.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            gain = 1.0 if layer is head else _GAINS[act]
            fan_in = layer.weight[0].numel()
            layer.weight.normal_(0.0, gain / math.sqrt(fan_in))
            if layer.bias is not None:
                layer.bias.zero_()
