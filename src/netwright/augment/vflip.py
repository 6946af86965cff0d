"""Vertical flip: half of the images turned upside down."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import Mirror, rearranged
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class VflipOptions:
    """On or off."""

    vflip: bool = setting(False, help="turn half of the images upside down")


_PART = Mirror("vflip", axis=2)


@AUGMENTATIONS.register("vflip", options=VflipOptions, order=12, join=rearranged, part=_PART)
def vflip(images: Tensor, keys: Keys, amount: bool, fill: Fill = 0.0) -> Tensor:
    """Each image mirrored top to bottom with probability 1/2.

    When to use it: things without an up and a down: cells, satellite images, textures.

    What goes wrong: in photographs of the world the sky is above, and a network that is shown
    it below learns what it will never need. Digits and letters become others.
    """
    return rearranged(images, keys, [(_PART, amount)], fill)
