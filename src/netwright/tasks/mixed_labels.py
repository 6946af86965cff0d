"""The loss of a batch whose images were mixed with each other: both labels, by their shares."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from netwright.data.batches import Batch


def loss_of(
    loss: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    batch: Batch,
    *,
    whole: Batch | None = None,
) -> Tensor:
    """`loss(logits, target)`; of mixed images share * loss(logits, target) + (1 - share) *
    loss(logits, second), for any loss (Zhang et al. 2018, "mixup", section 2).

    For cross-entropy that is the loss with the blended label as target. When `batch` is a part
    of a `whole` whose parts are added up by the weights of their first labels, as class weights
    have it, the second loss is corrected to the weights of the second ones.

    >>> import numpy as np, torch
    >>> batch = Batch(torch.zeros(1), torch.tensor([0]), np.array([0]), 0)
    >>> mixed = batch._replace(second=torch.tensor([1]), share=0.75)
    >>> pick = lambda logits, target: logits.gather(1, target[:, None]).mean()
    >>> loss_of(pick, torch.tensor([[4.0, 8.0]]), batch)
    tensor(4.)
    >>> loss_of(pick, torch.tensor([[4.0, 8.0]]), mixed)  # 0.75 * 4 + 0.25 * 8
    tensor(5.)
    """
    first = loss(logits, batch.target)
    if batch.second is None:
        return first
    rest = (1 - batch.share) * _by_second(loss, batch, whole)
    return batch.share * first + rest * loss(logits, batch.second)


def _by_second(
    loss: Callable[[Tensor, Tensor], Tensor], batch: Batch, whole: Batch | None
) -> float:
    """The part's weight in the whole by second labels, over its weight by first ones."""
    divisor: Callable[[Tensor], float] | None = getattr(loss, "divisor", None)
    if divisor is None or whole is None or batch.second is None or whole.second is None:
        return 1.0
    by_first = divisor(batch.target) / divisor(whole.target)
    return divisor(batch.second) / divisor(whole.second) / by_first
