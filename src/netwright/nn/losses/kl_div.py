"""Kullback-Leibler divergence between a smoothed target and the softmax of the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses._one_hot import one_hot


@config
class KLDivOptions:
    """How sure the target is, and in which direction is measured."""

    smoothing: float = setting(
        0.1, ge=0, lt=1, help="share of the target spread over all classes", search=(0.0, 0.2)
    )
    direction: Literal["forward", "reverse"] = setting(
        "forward", help="of the target from the softmax (covers), or the other way (seeks)"
    )


@LOSSES.register(
    "kl_div",
    options=KLDivOptions,
    paper="Kullback & Leibler 1951, On information and sufficiency",
)
def kl_div(options: KLDivOptions, class_counts: Sequence[int]) -> Loss:
    """KL divergence: the mean of sum_c q_c log(q_c / p_c), in nats; never below 0.

    Logits (N, C, ...) and target (N, ...) to one number, the mean over samples. p is the softmax of
    the logits; q is 1 - smoothing + smoothing/C for the target's class and smoothing/C for the
    others. Forward it is smoothed cross-entropy less the entropy of q, so that 0 is perfect, with
    the same gradient; `reverse` is sum_c p_c log(p_c / q_c). Raises `SettingError` for reverse
    without smoothing, where it is infinite.

    When to use it: to read how far off a network is without the entropy of the target; for soft
    targets, as in distillation (`divergence`).

    What goes wrong: torch's `kl_div` wants log p first, then q, and by default divides by the
    number of elements, not of samples. It is no distance: the two directions differ. Forward covers
    all that the target allows; reverse, a network may settle on one of several right answers and
    forget the rest (a target of two humps at -3 and 3 was fitted by one wide hump at 0 forward, by
    one of the two reverse).

    >>> import torch
    >>> loss = kl_div(KLDivOptions(smoothing=0.0), [5, 5])
    >>> round(float(loss(torch.zeros(1, 2), torch.tensor([0]))), 4)  # log(2)
    0.6931
    """
    if options.direction == "reverse" and options.smoothing == 0:
        raise SettingError(
            "loss.direction: reverse needs smoothing, and loss.smoothing is 0.",
            hint="Set loss.smoothing=0.1, or loss.direction=forward.",
        )

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        sure = one_hot(target, logits)
        q = sure * (1 - options.smoothing) + options.smoothing / logits.shape[1]
        log_p = logits.log_softmax(1)
        if options.direction == "forward":
            return divergence(q, log_p)
        return divergence(log_p.exp(), q.log())

    return loss


def divergence(p: Tensor, log_q: Tensor) -> Tensor:
    """D(p || q) = sum_c p_c log(p_c / q_c) of distributions (N, C, ...), the mean over N, ....

    A class with p = 0 adds nothing, whatever q is.

    >>> import torch
    >>> p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    >>> round(float(divergence(p, q.log())), 4)  # log(2) / 2 + log(2 / 3) / 2
    0.1438
    """
    each = nn.functional.kl_div(log_q, p, reduction="none")
    return each.sum(1).mean()
