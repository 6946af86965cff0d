"""CutMix: a box of each image replaced by that of another, and labels by area."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment.pairs import Pairs
from netwright.core.config import config, setting


@config
class CutmixOptions:
    """How large."""

    cutmix: float = setting(
        0.0,
        ge=0,
        le=100,
        help="alpha of the Beta(alpha, alpha) from which the area of the box is drawn",
        search=(0.2, 1.0),
    )


@AUGMENTATIONS.register(
    "cutmix", options=CutmixOptions, order=92, pairs=True, paper="Yun et al. 2019, eq. 1 and 2"
)
def cutmix(images: Tensor, pairs: Pairs, amount: float, fill: Fill = 0.0) -> tuple[Tensor, float]:
    """A box of each image replaced by the same box of a partner, the loss by the area.

    The box, one a batch, has the shape of the image and the area 1 - s, s from Beta(amount,
    amount), its centre anywhere in the image; what reaches beyond the border is cut off, and the
    share of each label is that of the area it really has. The loss is that of mixup.

    When to use it: photographs and long training, 1; it keeps the pixels natural where mixup
    makes ghosts. With mixup on as well, each batch gets one of the two.

    What goes wrong: a box without the thing still counts for its label: small things on a large
    background suffer. Images so small that a box is no more than a pixel gain nothing.
    """
    height, width = images.shape[2:]
    side = math.sqrt(1 - pairs.beta(amount, "cutmix"))
    tall, wide = int(height * side), int(width * side)
    middle_y, middle_x = pairs.integer(height, "cutmix-y"), pairs.integer(width, "cutmix-x")
    top, left = max(middle_y - tall // 2, 0), max(middle_x - wide // 2, 0)
    bottom = min(middle_y - tall // 2 + tall, height)
    right = min(middle_x - wide // 2 + wide, width)
    partner = torch.from_numpy(pairs.partner).to(images.device)
    mixed = images.clone()
    box = images[:, :, top:bottom, left:right]
    mixed[:, :, top:bottom, left:right] = box.index_select(0, partner)
    area = max(bottom - top, 0) * max(right - left, 0)
    return mixed, 1 - area / (height * width)
