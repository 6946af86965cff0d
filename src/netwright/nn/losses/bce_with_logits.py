"""Binary cross-entropy: every class its own question, answered yes or no by a sigmoid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses._one_hot import one_hot


@config
class BCEWithLogitsOptions:
    """How sure the target is, and how much a yes counts."""

    smoothing: float = setting(
        0.0, ge=0, lt=1, help="share by which yes and no move towards one half", search=(0.0, 0.2)
    )
    positive_weight: float = setting(
        1.0, gt=0, help="how many times a yes counts; C - 1 balances it with the noes"
    )


@LOSSES.register(
    "bce_with_logits",
    options=BCEWithLogitsOptions,
    paper="Cox 1958; for one class of many Wightman, Touvron & Jegou 2021, sec. 3",
)
def bce_with_logits(options: BCEWithLogitsOptions, class_counts: Sequence[int]) -> Loss:
    """Binary cross-entropy: the mean of -(w y log s + (1 - y) log(1 - s)), s = sigmoid(logit).

    Logits (N, C, ...) and target (N, ...) to one number, the mean over samples and classes. y is 1
    for the target's class and 0 for the others, moved to y (1 - smoothing) + smoothing / 2; w is
    `positive_weight`. The sigmoid is inside, in a form that stays exact for large logits.

    When to use it: several labels at once; for one label where an image may show none of the
    classes, or mixed images.

    What goes wrong: at first C - 1 noes drown one yes, and a network says no to everything: begin
    with the bias -log(C - 1) in the last layer, or raise `positive_weight`. The probabilities do
    not add up to 1. The mean over C classes wants a rate higher than that of cross-entropy. A
    sigmoid at the end of the network is one too many: it squeezes all answers into 0.5 to 0.73.

    >>> loss = bce_with_logits(BCEWithLogitsOptions(), [5, 5])
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)  # log(2)
    0.6931
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        asked = one_hot(target, logits) * (1 - options.smoothing) + options.smoothing / 2
        weight = torch.as_tensor(options.positive_weight, dtype=logits.dtype, device=logits.device)
        return nn.functional.binary_cross_entropy_with_logits(logits, asked, pos_weight=weight)

    return loss
