"""Random resized crop: a random part of each image, brought back to the full size."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._geometry import Affine, resampled
from netwright.augment.keys import Keys
from netwright.core.config import config, setting

_RATIO = math.log(4 / 3)


@config
class CropResizeOptions:
    """How small the part may be."""

    crop_resize: float = setting(
        0.0,
        ge=0,
        lt=1,
        help="cut out a part of at least this share of the area and enlarge it to the full size",
        search=(0.08, 0.8),
    )


def _part(keys: Keys, amount: float, size: tuple[int, int]) -> Affine:
    height, width = size
    area = amount + (1 - amount) * keys.uniform("crop_resize-area")
    ratio = np.exp(_RATIO * (2 * keys.uniform("crop_resize-ratio") - 1))
    across = np.minimum(1.0, np.sqrt(area * ratio * height / width))
    down = np.minimum(1.0, np.sqrt(area / ratio * width / height))
    return Affine.of(
        len(area),
        a=across,
        c=width * (1 - across) * (keys.uniform("crop_resize-x") - 0.5),
        e=down,
        f=height * (1 - down) * (keys.uniform("crop_resize-y") - 0.5),
    )


@AUGMENTATIONS.register(
    "crop_resize",
    options=CropResizeOptions,
    order=40,
    join=resampled,
    part=_part,
    paper="Szegedy et al. 2015, sec. 6",
)
def crop_resize(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """A part of each image, of at least the share `amount` of its area, at full size.

    The area is uniform in [amount, 1], the logarithm of width : height uniform between 3:4 and
    4:3, the place uniform; a side that would be longer than the image is as long as it. (Others
    draw again in that case, or take the middle; here every draw counts.)

    When to use it: photographs; 0.08 for ImageNet and long training, 0.3 to 0.6 for fewer
    epochs, or when the thing fills the image.

    What goes wrong: a small part need not show what the label says; things appear larger in
    training than in evaluation (Touvron et al. 2019).
    """
    return resampled(images, keys, [(_part, amount)], fill)
