"""One large batch as several small ones: the same gradient with a part of the memory.

A loss that is a mean, over n samples or by weights, is not the mean of the losses of its parts
when these differ in size or weight. Each part therefore counts by its share.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Part = slice


def parts(count: int, pieces: int) -> list[Part]:
    """`count` samples cut into `pieces` (or as many as there are samples), larger ones first.

    >>> parts(7, 3)
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    assert count >= 1, count
    assert pieces >= 1, pieces
    pieces = min(count, pieces)
    size, larger = divmod(count, pieces)
    ends = [0]
    for number in range(pieces):
        ends.append(ends[-1] + size + (number < larger))
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


def accumulate(
    loss: Callable[[Part], Tensor],
    count: int,
    pieces: int,
    *,
    divisor: Callable[[Part], float] | None = None,
    whole: float | None = None,
    scale: float = 1.0,
    weightless: Callable[[Part], Tensor] | None = None,
) -> Tensor:
    """Add the gradients of a batch of `count` samples in `pieces`, one backward pass for each.

    `loss(part)` is the mean over the samples of a part. `divisor(part)` is what that mean was
    divided by, where it is not the number of samples: a loss with class weights has the method
    `divisor(target)`. The gradients are multiplied by `scale`, the loss is not. Returns the loss of
    the whole batch, detached. With a scale of 1 gradients and loss equal those of the whole batch
    up to rounding, 1e-6 of them in float32. Where these samples are themselves a part, `whole` is
    what the mean over all was divided by: gradients and losses of all parts then add up to those of
    the whole.

    A part that weighs nothing is left out; where that may not be, since the passes of several
    processes wait for each other, `weightless(part)` gives a loss of 0 for it.

    Not the same in pieces: batch norm, which takes the statistics of each piece; random draws,
    of which there are several; and a loss that is no mean (`dice` over a batch).

    >>> import torch
    >>> w, x = torch.tensor(2.0, requires_grad=True), torch.tensor([1.0, 2.0, 6.0])
    >>> accumulate(lambda part: (w * x[part]).mean(), 3, 2)
    tensor(6.)
    >>> w.grad  # 3, the mean of x, and not the mean (1.5 + 6) / 2 of the means
    tensor(3.)
    """
    total: Tensor | None = None
    for part, share in _shares(count, pieces, divisor, whole):
        if share == 0 and weightless is None:
            continue  # a part of weightless samples only: its mean is 0 / 0
        counted = loss(part) * share if share or weightless is None else weightless(part)
        (counted if scale == 1 else counted * scale).backward()
        total = counted.detach() if total is None else total + counted.detach()
    return torch.zeros(()) if total is None else total


def _shares(
    count: int, pieces: int, divisor: Callable[[Part], float] | None, whole: float | None
) -> Iterator[tuple[Part, float]]:
    cut = parts(count, pieces)
    sizes = [float(part.stop - part.start) if divisor is None else divisor(part) for part in cut]
    whole = sum(sizes) if whole is None else whole
    if whole == 0:  # no weight at all: 0 / 0, as the mean of the batch in one piece
        yield slice(0, count), 1.0
        return
    for part, size in zip(cut, sizes, strict=True):
        yield part, size / whole
