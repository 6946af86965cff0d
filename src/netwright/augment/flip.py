"""Flip: half of the images mirrored left to right."""

from __future__ import annotations

import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class FlipOptions:
    """On or off."""

    flip: bool = setting(False, help="mirror half of the images left to right")


@AUGMENTATIONS.register("flip", options=FlipOptions, order=10)
def flip(images: Tensor, keys: Keys, amount: bool, fill: Fill = 0.0) -> Tensor:
    """Each image mirrored left to right with probability 1/2.

    x'[y, x] = x[y, W - 1 - x]; no pixel is interpolated.

    When to use it: nearly always for photographs: most things look alike from both sides.
    What goes wrong: digits, letters, road signs and left and right hands become others, or
    nothing that exists.
    """
    chosen = torch.from_numpy((keys.uniform("flip") < 0.5).nonzero()[0]).to(images.device)
    # Only the chosen ones are mirrored: half the work of choosing between two whole batches.
    return images.index_copy(0, chosen, images.index_select(0, chosen).flip(3))
