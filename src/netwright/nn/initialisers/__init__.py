"""The initialisers, each a leaf of this folder: `(weight, fans, gain, options)`, in place.

A leaf fills one weight (out, in / groups, ...) with first numbers drawn from torch's generator;
`netwright.nn.initialisation.initialise` calls it for every layer of a network and sets biases 0.

Choosing: nothing, for the networks here take `he` with the gain of their activation; `lsuv` or
`orthogonal` for deep networks without a norm; `lecun` with SELU. A good start has about the same
spread of activations in every layer, neither saturated nor near 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import pydantic
from torch import Tensor

from netwright.core.registry import Registry


class Fans(NamedTuple):
    """How many inputs one unit of a layer reads, and how many units read one of its inputs."""

    inputs: int
    outputs: int


Gain: TypeAlias = Annotated[float, pydantic.Field(gt=0)] | Literal["auto"]

Initialiser: TypeAlias = Callable[[Tensor, Fans, float, Any], None]

INITIALISERS: Registry[Initialiser] = Registry(
    "initialiser", "netwright.nn.initialisers", listing="netwright ls initialisers"
)
"""Facts of a leaf: `matched`, false where the gain is 1 by default and not that of the activation;
`images`, true where it needs images, with `then`, a function `(model, images, options)` for after
all weights are drawn; `teaching`, true where nothing is to be learned with it."""
