"""Shift: each image moved by a few pixels."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import moved
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class ShiftOptions:
    """How far."""

    shift: int = setting(
        0, ge=0, help="move by up to so many pixels each way", unit="pixels", search=(0, 4)
    )


@AUGMENTATIONS.register("shift", options=ShiftOptions, order=20)
def shift(images: Tensor, keys: Keys, amount: int, fill: Fill = 0.0) -> Tensor:
    """Each image moved up or down and left or right by up to `amount` pixels.

    x'[y, x] = x[y + a, x + b], `fill` where that is outside; a and b whole numbers, every one
    from -amount to amount equally likely. Raises `SettingError` for a move as long as the image.

    When to use it: small images whose content is not exactly centred; 1 or 2 for digits.
    What goes wrong: what stands at the border leaves the image, and with it perhaps the label.
    """
    return moved(images, keys, amount, fill, name="shift")
