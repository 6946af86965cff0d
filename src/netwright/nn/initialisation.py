"""First weights that keep the size of a signal from layer to layer.

For a layer with `fan_in` inputs a unit, weights of standard deviation `gain / sqrt(fan_in)` keep
the mean square of the activations 1 at every depth, if the gain fits the activation: it is the g
for which E[f(g z)^2] = 1, z normal. For ReLU that is sqrt(2), because half of its outputs are 0
(He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", eq. 10).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from netwright.nn.activations import ActivationName
from netwright.nn.initialisers import INITIALISERS, Fans

_GAINS: dict[str, float] = {
    "relu": math.sqrt(2),
    "relu6": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "prelu": math.sqrt(2 / (1 + 0.25**2)),
    # Solved for numerically. Of these the smallest and the largest drift most: after 20 layers
    # of width 256 the spread was 0.8 times (gelu) and 2.3 times (hardswish) that of the first.
    "elu": 1.278,
    "gelu": 1.468,
    "silu": 1.559,
    "mish": 1.452,
    "hardswish": 1.567,
    "softplus": 1.083,
    "selu": 1.0,  # made for this (Klambauer et al. 2017)
    # No gain makes the mean square of these 1. torch's 5/3 leaves tanh a spread of 0.65 of its
    # range; sigmoid's outputs are around 1/2 at any gain.
    "tanh": 5 / 3,
    "sigmoid": 1.0,
}


def gain(act: str) -> float:
    """What `1 / sqrt(fan_in)` is multiplied by in a layer before the activation `act`.

    >>> round(gain("relu"), 3), round(gain("tanh"), 3)
    (1.414, 1.667)
    """
    return _GAINS[act]


def fans(layer: nn.Conv2d | nn.Linear) -> Fans:
    """How many inputs one unit of `layer` reads, and how many units read one of its inputs.

    >>> fans(nn.Conv2d(8, 12, kernel_size=3, groups=4))  # 8/4 * 9 and 12/4 * 9
    Fans(inputs=18, outputs=27)
    """
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    area = layer.weight[0, 0].numel()
    return Fans(inputs=layer.weight.shape[1] * area, outputs=len(layer.weight) // groups * area)


@torch.no_grad()
def initialise(
    model: nn.Module,
    act: ActivationName,
    *,
    name: str = "he",
    options: Any = None,
    head: nn.Module | None = None,
    images: Tensor | None = None,
) -> None:
    """Draw every convolution and linear layer of `model` by the initialiser `name`, biases 0.

    `act` is the activation that follows them, which the gain is matched to; `head` is the layer
    that none follows, the one that makes the logits: its gain is 1. Norm layers keep their scale
    and shift. `options` is an instance of the leaf's options class, by default its defaults.
    `images` (N, C, H, W), normalised as in training, are for initialisers with the fact
    `images`, which look at what the layers make of them. Draws come from torch's generator.

    Raises `UnknownNameError` for a name that is not registered.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> initialise(model, "relu", name="constant", head=model[2])
    >>> model[2].weight.data
    tensor([[0.1000, 0.1000]])
    """
    entry = INITIALISERS.get(name)
    assert entry.options is not None, entry.name
    chosen = options if options is not None else entry.options()
    given = getattr(chosen, "gain", "auto")
    matched = gain(act) if entry.facts.get("matched", True) else 1.0
    for layer in model.modules():
        # A meta weight has no values to draw, and torch would import its compiler to draw none.
        if isinstance(layer, nn.Conv2d | nn.Linear) and not layer.weight.is_meta:
            factor = 1.0 if layer is head else matched if given == "auto" else float(given)
            entry.target(layer.weight, fans(layer), factor, chosen)
            if layer.bias is not None:
                layer.bias.zero_()
    if entry.facts.get("images"):
        assert images is not None, f"{entry.name} needs images"
        entry.facts["then"](model, images, chosen)


def last_layer(model: nn.Module) -> nn.Module | None:
    """The convolution or linear layer registered last: the head of most networks that classify.

    >>> last_layer(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4)))
    Linear(in_features=3, out_features=4, bias=True)
    """
    layers = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    return layers[-1] if layers else None
