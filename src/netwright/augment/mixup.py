"""Mixup: each image blended with another, and so are their labels."""

from __future__ import annotations

import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment.pairs import Pairs
from netwright.core.config import config, setting


@config
class MixupOptions:
    """How evenly."""

    mixup: float = setting(
        0.0,
        ge=0,
        le=100,
        help="alpha of the Beta(alpha, alpha) from which the share of a blend is drawn",
        search=(0.1, 1.0),
    )


@AUGMENTATIONS.register(
    "mixup", options=MixupOptions, order=90, pairs=True, paper="Zhang et al. 2018, eq. 1"
)
def mixup(images: Tensor, pairs: Pairs, amount: float, fill: Fill = 0.0) -> tuple[Tensor, float]:
    """Each image blended with a partner of its batch, and the loss with both labels.

    x' = s x + (1 - s) x_partner and loss = s loss(x', label) + (1 - s) loss(x', label of the
    partner), s one draw a batch from Beta(amount, amount). In accuracy while training the label
    with the larger share counts, so it is lower than without, and lower than on validation.

    When to use it: long training on little data, with 0.2 to 0.4 for photographs (the paper's
    ImageNet), 1 for CIFAR.

    What goes wrong: with few epochs it slows learning down without paying back; with label
    smoothing on top, targets become so soft that networks underfit; it fits no loss of several
    labels an image. The training loss no longer goes to 0.
    """
    share = pairs.beta(amount, "mixup")
    partner = torch.from_numpy(pairs.partner).to(images.device)
    real = images if images.is_floating_point() else images.to(torch.float32)
    mixed = (real * share).add_(real.index_select(0, partner).mul_(1 - share))
    return (mixed if images.is_floating_point() else mixed.add_(0.5).to(images.dtype)), share
