"""Random erasing: a box of some images painted over with one colour."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._boxes import covered
from netwright.augment.keys import Keys
from netwright.core.config import config, setting

# The paper's: share of the area, and the logarithm of height : width.
_SMALLEST, _LARGEST = 0.02, 0.4
_RATIO = math.log(1 / 0.3)


@config
class EraseOptions:
    """How often."""

    erase: float = setting(
        0.0, ge=0, le=1, help="probability that a box of an image is painted over", search=(0, 0.5)
    )


@AUGMENTATIONS.register(
    "erase", options=EraseOptions, order=84, pixels=True, paper="Zhong et al. 2020, algorithm 1"
)
def erase(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """With probability `amount` a box of the image painted over with a random colour.

    The box has 2 to 40 % of the area and is between 3.3 times as high as wide and as wide as
    high, somewhere inside the image; a side that would be longer than the image is as long as it.
    The colour is one number for each channel, uniform from black to white. (The paper paints
    every pixel with a colour of its own, at the price of a draw for each.)

    When to use it: photographs in which things stand in front of each other, 0.25 to 0.5.

    What goes wrong: small things can disappear with their label left standing.
    """
    channels, height, width = images.shape[1:]
    area = _SMALLEST + (_LARGEST - _SMALLEST) * keys.uniform("erase-area")
    ratio = np.exp(_RATIO * (2 * keys.uniform("erase-ratio") - 1))
    sides = np.sqrt(area * height * width * ratio), np.sqrt(area * height * width / ratio)
    tall, wide = (
        np.clip(np.rint(side), 1, whole).astype(np.int64)
        for side, whole in zip(sides, (height, width), strict=True)
    )
    top = np.floor(keys.uniform("erase-y") * (height - tall + 1)).astype(np.int64)
    left = np.floor(keys.uniform("erase-x") * (width - wide + 1)).astype(np.int64)
    chosen = keys.uniform("erase") < amount
    inside = covered(images, top, left, top + np.where(chosen, tall, 0), left + wide)
    colour = torch.from_numpy(keys.table(channels, "erase-colour"))
    if not images.is_floating_point():
        colour = colour * 255
    return torch.where(inside, colour.to(images)[:, :, None, None], images)
