"""Multi-class hinge loss: the right logit has to lead every other by a margin."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.nn.losses import LOSSES, Loss


@config
class HingeOptions:
    """How far the right class has to lead, and how a shortfall counts."""

    margin: float = setting(1.0, gt=0, help="by how much the right logit has to lead")
    squared: bool = setting(False, help="square each shortfall")


@LOSSES.register(
    "hinge",
    options=HingeOptions,
    paper="Weston & Watkins 1999, Support vector machines for multi-class pattern recognition",
)
def hinge(options: HingeOptions, class_counts: Sequence[int]) -> Loss:
    """Multi-margin hinge: sum over c != t of max(0, margin - x_t + x_c), divided by C.

    Logits x (N, C) and target t (N,) to one number, the mean over the batch. `squared` squares each
    term. This is torch's `multi_margin_loss`; Crammer & Singer 2001 take the largest term and not
    the sum.

    When to use it: where only the order of the classes matters; a linear model with it and weight
    decay is a support vector machine.

    What goes wrong: samples beyond the margin have no gradient, so that training ends while the
    rest of the network could still improve. The logits give no probabilities: softmax of them is
    not calibrated. The margin sets the scale of the logits, against which weight decay works. At
    first nearly all C - 1 terms are active, so that many classes make a large gradient.

    >>> import torch
    >>> loss = hinge(HingeOptions(), [5, 5, 5])
    >>> round(float(loss(torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([0]))), 4)  # 0.5 / 3
    0.1667
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        power = 2 if options.squared else 1
        return nn.functional.multi_margin_loss(logits, target, p=power, margin=options.margin)

    return loss
