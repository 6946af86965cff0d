"""TrivialAugment: one random operation on each image, at a random strength."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._operations import Space, operated
from netwright.augment.keys import Keys
from netwright.core.config import config, setting

# The wide space of the paper. It moves by up to 32 pixels whatever the size of the image; here
# it is AutoAugment's share, 150 of 331, so that small images are not moved out of the frame.
WIDE = Space(shear=0.99, translate=150 / 331, rotate=135.0, enhance=0.99, bits=6)

_STRENGTHS = 30


@config
class TrivialOptions:
    """On or off."""

    trivial: bool = setting(
        False, help="one random operation on each image, at a random strength (TrivialAugment)"
    )


@AUGMENTATIONS.register(
    "trivial",
    options=TrivialOptions,
    order=70,
    pixels=True,
    paper="Müller & Hutter 2021, TrivialAugment (wide)",
)
def trivial(images: Tensor, keys: Keys, amount: bool, fill: Fill = 0.0) -> Tensor:
    """One of 14 operations on each image, at a strength of its own; nothing to tune.

    Operation uniform among identity, shear and translate along x and y, rotate, brightness,
    saturation, contrast, sharpness, posterize, solarize, autocontrast and equalize; strength
    uniform in {0, 1/30, ..., 1} of the paper's wide ranges.

    When to use it: colour photographs from CIFAR's size on, after crop and flip, when training
    runs long enough to overfit; the paper finds it as good as searched policies, or better.

    What goes wrong: digits and letters (rotation by up to 135 degrees), and classes that are told
    apart by colour; with few epochs the network does not get to know the plain images.
    """
    strength = keys.integers(0, _STRENGTHS, "trivial-strength") / _STRENGTHS
    return operated(images, keys, strength, WIDE, fill, lane="trivial")
