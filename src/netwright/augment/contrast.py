"""Contrast: the values of each image pulled to their mean or pushed from it."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._colours import Colours, around_one, recoloured
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class ContrastOptions:
    """How much."""

    contrast: float = setting(
        0.0,
        ge=0,
        le=1,
        help="weaken or strengthen contrast by up to this share: 0.4 is a factor from 0.6 to 1.4",
        search=(0, 0.4),
    )


def _part(colours: Colours, keys: Keys, amount: float) -> None:
    colours.contrast(around_one(keys, amount, "contrast"))


@AUGMENTATIONS.register(
    "contrast",
    options=ContrastOptions,
    order=62,
    join=recoloured,
    part=_part,
    pixels=True,
    paper="Howard 2013",
)
def contrast(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image away from or towards its mean brightness, by a factor in [1 - amount, 1 + amount].

    x' = m + f (x - m), where m is the mean over the image of its grey, 0.299 R + 0.587 G + 0.114 B
    (the mean of the channels where there are not three), and f uniform.

    When to use it: photographs from different cameras, scans, haze.

    What goes wrong: at 1 an image can become one flat grey.
    """
    return recoloured(images, keys, [(_part, amount)], fill)
