"""Crop: a random window, of the image's own size, of the image with a border around it."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import Window, rearranged
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class CropOptions:
    """How wide a border."""

    crop: int = setting(
        0,
        ge=0,
        help="pad by so many pixels, then cut a random window of the old size",
        unit="pixels",
        search=(0, 8),
    )


_PART = Window("crop")


@AUGMENTATIONS.register(
    "crop",
    options=CropOptions,
    order=30,
    join=rearranged,
    part=_PART,
    paper="He et al. 2015, sec. 4.2; Lee et al. 2015",
)
def crop(images: Tensor, keys: Keys, amount: int, fill: Fill = 0.0) -> Tensor:
    """Padded by `amount` on each side, then a random window of the old size.

    Images (N, C, H, W) to images of the same shape; what is outside is `fill`. On images of one
    size this is a shift by up to `amount`, under the name the field gives it and with draws of its
    own. Raises `SettingError` for a border as wide as the image.

    When to use it: photographs of 32x32 with `aug.crop=4` (with `aug.flip=true` the standard of the
    CIFAR literature); anything whose place in the image means nothing.

    What goes wrong: on images that are filled to the edge a wide border cuts off what tells the
    classes apart, and on 8x8 digits one pixel is an eighth. Together with `aug.shift` the moves add
    up. Training accuracy falls, for the images are harder: compare validation, and give the run
    more epochs.
    """
    return rearranged(images, keys, [(_PART, amount)], fill)
