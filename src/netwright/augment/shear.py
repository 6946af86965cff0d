"""Shear: each image leaned to one side."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._geometry import Affine, resampled
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class ShearOptions:
    """How far."""

    shear: float = setting(
        0.0,
        ge=0,
        le=60,
        help="lean to the left or right by up to so many degrees",
        unit="degrees",
        search=(0, 20),
    )


def _part(keys: Keys, amount: float, size: tuple[int, int]) -> Affine:
    angle = np.deg2rad(amount * (2 * keys.uniform("shear") - 1))
    return Affine.of(len(angle), b=np.tan(angle))


@AUGMENTATIONS.register(
    "shear",
    options=ShearOptions,
    order=44,
    join=resampled,
    part=_part,
    paper="Simard et al. 2003, sec. 2",
)
def shear(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image leaned to the left or right by up to `amount` degrees, like italic writing.

    x' = x - y tan(angle), the angle uniform in [-amount, amount], about the centre; what comes
    into view is `fill`.

    When to use it: handwriting, where people lean their letters; things seen from the side.

    What goes wrong: from about 30 degrees on, much of the image leaves the frame.
    """
    return resampled(images, keys, [(_part, amount)], fill)
