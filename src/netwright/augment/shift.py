"""Shift: each image moved by a few pixels."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import Window, rearranged
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class ShiftOptions:
    """How far."""

    shift: int = setting(
        0, ge=0, help="move by up to so many pixels each way", unit="pixels", search=(0, 4)
    )


_PART = Window("shift")


@AUGMENTATIONS.register(
    "shift",
    options=ShiftOptions,
    order=20,
    join=rearranged,
    part=_PART,
    paper="LeCun, Bottou, Bengio & Haffner 1998, sec. III (distorted training images)",
)
def shift(images: Tensor, keys: Keys, amount: int, fill: Fill = 0.0) -> Tensor:
    """Each image moved up or down and left or right by up to `amount` pixels.

    Images (N, C, H, W) to images of the same shape; both moves are whole numbers drawn from -amount
    to amount, and what comes in is `fill`. Raises `SettingError` for a move as long as the image.

    When to use it: small images that were centred by hand or by a program, such as digits, where
    the network has to bear what is off the centre: `aug.shift=1` on 8x8, 2 on 28x28.

    What goes wrong: moves larger than the border push strokes out of the image and make one class
    look like another. The border comes in as one colour, which a network can learn to read; a
    convolutional network with pooling bears about a pixel by itself, an MLP none.
    """
    return rearranged(images, keys, [(_PART, amount)], fill)
