"""Flip: half of the images mirrored left to right."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._windows import Mirror, rearranged
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class FlipOptions:
    """On or off."""

    flip: bool = setting(False, help="mirror half of the images left to right")


_PART = Mirror("flip", axis=3)


@AUGMENTATIONS.register(
    "flip",
    options=FlipOptions,
    order=10,
    join=rearranged,
    part=_PART,
    paper="Krizhevsky, Sutskever & Hinton 2012, sec. 4.1",
)
def flip(images: Tensor, keys: Keys, amount: bool, fill: Fill = 0.0) -> Tensor:
    """Each image mirrored left to right with probability 1/2.

    Images (N, C, H, W) to images of the same shape: column x goes to W - 1 - x. Where it is right
    it doubles the data for nothing.

    When to use it: for things that look the same from both sides: animals, vehicles, clothes,
    textures, seen from above or from the front.

    What goes wrong: never for digits and letters, for the mirror image of one is none or another;
    nor where left and right are what is asked (road signs, hands, organs, text in the image). It is
    no error that shows: training goes on and the network is merely worse.
    """
    return rearranged(images, keys, [(_PART, amount)], fill)
