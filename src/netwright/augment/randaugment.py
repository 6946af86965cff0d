"""RandAugment: two random operations on each image, at one given strength."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._operations import Space, operated
from netwright.augment.keys import Keys
from netwright.core.config import config, setting

# The ranges of AutoAugment (Cubuk et al. 2019, table 6), which RandAugment takes over.
SPACE = Space(shear=0.3, translate=150 / 331, rotate=30.0, enhance=0.9, bits=4)

_FULL = 30
_TIMES = 2


@config
class RandAugmentOptions:
    """How strong."""

    randaugment: int = setting(
        0,
        ge=0,
        le=_FULL,
        help="two random operations on each image, at this strength (RandAugment)",
        search=(0, 15),
    )


@AUGMENTATIONS.register(
    "randaugment",
    options=RandAugmentOptions,
    order=72,
    pixels=True,
    paper="Cubuk et al. 2020, RandAugment",
)
def randaugment(images: Tensor, keys: Keys, amount: int, fill: Fill = 0.0) -> Tensor:
    """Two of 14 operations on each image, one after the other, both at strength `amount` of 30.

    Operations as of TrivialAugment, with AutoAugment's narrower ranges; each is drawn anew, so
    both can be the same. Two operations (N = 2) are the paper's choice for ImageNet; the strength
    (M) is to be tuned: 9 for its ResNet-50, more for larger networks and more data.

    When to use it: photographs and long training, where a strength can be tuned; else trivial.

    What goes wrong: as of trivial; a strength that is too high for a small network lowers both
    training and validation accuracy.
    """
    strength = np.full(len(images), amount / _FULL)
    for i in range(_TIMES):
        images = operated(images, keys, strength, SPACE, fill, lane=f"randaugment-{i}")
    return images
