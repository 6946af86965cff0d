"""The loss of a batch whose images were mixed with each other: both labels, by their shares."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from netwright.data.batches import Batch, Whole


def loss_of(
    loss: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    batch: Batch,
    *,
    whole: Batch | Whole | None = None,
) -> Tensor:
    """`loss(logits, target)`; of mixed images share * loss(logits, target) + (1 - share) *
    loss(logits, second), for any loss (Zhang et al. 2018, "mixup", section 2).

    For cross-entropy that is the loss with the blended label as target. Of a `batch` that is a
    part of a `whole` it is so scaled that the parts add up to the whole by their numbers of
    images, each label with its own class weights.

    >>> import numpy as np, torch
    >>> batch = Batch(torch.zeros(1), torch.tensor([0]), np.array([0]), 0)
    >>> mixed = batch._replace(second=torch.tensor([1]), share=0.75)
    >>> pick = lambda logits, target: logits.gather(1, target[:, None]).mean()
    >>> loss_of(pick, torch.tensor([[4.0, 8.0]]), batch)
    tensor(4.)
    >>> loss_of(pick, torch.tensor([[4.0, 8.0]]), mixed)  # 0.75 * 4 + 0.25 * 8
    tensor(5.)
    """
    if batch.second is None:
        return loss(logits, batch.target)
    first, second = (None, None) if whole is None else (whole.target, whole.second)
    return batch.share * _term(loss, logits, batch.target, first) + (1 - batch.share) * _term(
        loss, logits, batch.second, second
    )


def _term(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor, whole: Tensor | None
) -> Tensor:
    """The loss by one of the labels; in a part, times the weight of these labels among those of
    the `whole`, over the part's share of the images."""
    divisor: Callable[[Tensor], float] | None = getattr(loss, "divisor", None)
    if divisor is None or whole is None or divisor(whole) == 0:
        return loss(logits, target)
    weight = divisor(target) / divisor(whole)
    if weight == 0:
        return logits.sum() * 0  # the mean of no weight is 0 / 0
    return loss(logits, target) * (weight * len(whole) / len(target))
