"""Crop: a random window, of the image's own size, of the image with a border around it."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import moved
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


@AUGMENTATIONS.register(
    "crop", options=CropOptions, order=30, paper="He et al. 2015, sec. 4.2; Lee et al. 2015"
)
def crop(images: Tensor, keys: Keys, amount: int, fill: Fill = 0.0) -> Tensor:
    """Padded by `amount` on each side, then a random window of the old size.

    On images of one size this is a shift by up to `amount`, under the name the field gives it
    and with draws of its own. Raises `SettingError` for a border as wide as the image.

    When to use it: 4 with flip for CIFAR, the field's standard since 2015.
    What goes wrong: as of shift; with both on an image moves twice.
    """
    return moved(images, keys, amount, fill, name="crop")
