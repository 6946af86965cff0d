"""Brightness: each image made darker or lighter."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._colours import Colours, around_one, recoloured
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class BrightnessOptions:
    """How much."""

    brightness: float = setting(
        0.0,
        ge=0,
        le=1,
        help="make darker or lighter by up to this share: 0.4 is a factor from 0.6 to 1.4",
        search=(0, 0.4),
    )


def _part(colours: Colours, keys: Keys, amount: float) -> None:
    colours.brighten(around_one(keys, amount, "brightness"))


@AUGMENTATIONS.register(
    "brightness",
    options=BrightnessOptions,
    order=60,
    join=recoloured,
    part=_part,
    pixels=True,
    paper="Howard 2013",
)
def brightness(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image times a factor uniform in [1 - amount, 1 + amount].

    x' = f x, cut off at white. With contrast, saturation and hue it is one pass, and nothing is
    cut off in between.

    When to use it: photographs in changing light.

    What goes wrong: where brightness is the label (day and night, X-ray density) it erases it.
    A float image is not cut off at 1.
    """
    return recoloured(images, keys, [(_part, amount)], fill)
