"""Cut-out: a square of each image covered."""

from __future__ import annotations

import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._boxes import covered
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class CutoutOptions:
    """How large."""

    cutout: float = setting(
        0.0,
        ge=0,
        le=1,
        help="cover a square whose side is this share of the shorter side of the image",
        search=(0, 0.6),
    )


@AUGMENTATIONS.register("cutout", options=CutoutOptions, order=86, paper="DeVries & Taylor 2017")
def cutout(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """A square of each image covered, its centre anywhere in the image.

    It is filled with `fill`, black in bytes. The side is `amount` of the shorter side of the
    image, one pixel at least; near the border a part of the square lies outside, which the paper
    found to matter. The 16 pixels that are best for CIFAR-10 in the paper are 0.5, the 8 for
    CIFAR-100 are 0.25.

    When to use it: with crop and flip on small images, when training accuracy reaches 100 %.

    What goes wrong: a square that can hide the whole thing leaves nothing that fits the label.
    """
    height, width = images.shape[2:]
    side = max(1, round(amount * min(height, width)))
    top = keys.integers(0, max(height - 1, 0), "cutout-y") - side // 2
    left = keys.integers(0, max(width - 1, 0), "cutout-x") - side // 2
    inside = covered(images, top, left, top + side, left + side)
    if isinstance(fill, Tensor):
        return torch.where(inside, fill.to(images)[:, None, None], images)
    return images.masked_fill(inside, fill)
