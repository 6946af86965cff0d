"""Blur: each image smoothed by a Gaussian of its own width."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._filters import smoothed
from netwright.augment.keys import Keys
from netwright.core.config import config, setting

_LEAST = 0.1


@config
class BlurOptions:
    """How much."""

    blur: float = setting(
        0.0,
        ge=0,
        le=10,
        help="smooth by a Gaussian of a standard deviation of up to so many pixels",
        unit="pixels",
        search=(0, 2),
    )


@AUGMENTATIONS.register("blur", options=BlurOptions, order=76, paper="Chen et al. 2020, app. A")
def blur(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image smoothed by a Gaussian of a standard deviation uniform from 0.1 to `amount`.

    In pixels; the weights end at three standard deviations, and beyond the border the outermost
    pixels go on.

    When to use it: photographs out of focus or of different sharpness, and so that a network
    does not rely on the finest texture.

    What goes wrong: on images of 32 pixels and fewer, 1 already wipes out what tells classes
    apart.
    """
    sigma = _LEAST + max(amount - _LEAST, 0.0) * keys.uniform("blur")
    return smoothed(images, np.minimum(sigma, max(amount, 1e-3)))
