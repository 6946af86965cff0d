"""Hue: the colours of each image turned round the colour circle."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._colours import Colours, recoloured
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class HueOptions:
    """How much."""

    hue: float = setting(
        0.0,
        ge=0,
        le=0.5,
        help="turn colours by up to this share of the colour circle: 0.5 is any colour",
        search=(0, 0.1),
    )


def _part(colours: Colours, keys: Keys, amount: float) -> None:
    colours.turn(2 * np.pi * amount * (2 * keys.uniform("hue") - 1))


@AUGMENTATIONS.register(
    "hue",
    options=HueOptions,
    order=66,
    join=recoloured,
    part=_part,
    pixels=True,
    paper="YIQ: FCC 1953",
)
def hue(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each RGB image with its colours turned by up to the share `amount` of the colour circle.

    A rotation in the plane of I and Q of the YIQ colours: brightness Y stays and greys stay grey.
    It is linear, so it joins brightness, contrast and saturation in one pass; a turn in HSV,
    which others use, changes how bright a colour looks. Images that have not three channels stay
    as they are.

    When to use it: things whose colour means nothing (cars, clothes), with small amounts, 0.05.

    What goes wrong: colour that is the label (flowers, fruit, traffic lights) is lost.
    """
    return recoloured(images, keys, [(_part, amount)], fill)
