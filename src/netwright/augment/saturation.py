"""Saturation: the colours of each image made paler or stronger."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._colours import Colours, around_one, recoloured
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class SaturationOptions:
    """How much."""

    saturation: float = setting(
        0.0,
        ge=0,
        le=1,
        help="make colours paler or stronger by up to this share: 0.4 is a factor from 0.6 to 1.4",
        search=(0, 0.4),
    )


def _part(colours: Colours, keys: Keys, amount: float) -> None:
    colours.saturate(around_one(keys, amount, "saturation"))


@AUGMENTATIONS.register(
    "saturation",
    options=SaturationOptions,
    order=64,
    join=recoloured,
    part=_part,
    pixels=True,
    paper="Howard 2013",
)
def saturation(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each RGB image away from or towards its own grey, by a factor in [1 - amount, 1 + amount].

    x' = g + f (x - g), where g is the grey of the pixel, 0.299 R + 0.587 G + 0.114 B, and f
    uniform. Images that have not three channels stay as they are.

    When to use it: photographs from different cameras and weathers.

    What goes wrong: where colour is the label (ripe or unripe) it weakens what tells them apart.
    """
    return recoloured(images, keys, [(_part, amount)], fill)
