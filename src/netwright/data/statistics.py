"""The mean and spread of each channel over a training split, for normalisation."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from netwright.core.keyed import permutation
from netwright.data.dataset import Images, MemoryImages, UnreadableImageError

_CHUNK = 2048
_STREAMED = 10_000


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`(mean, std)` of each channel; uint8 pixels count as 0..1, float ones as they are.

    Bytes are counted into 256 bins, so the result is exact and the order does not matter. Of a
    streamed set of more than 10,000 images a keyed sample of 10,000 is read: the mean is then
    within about a hundredth of a spread. A channel that never changes gets the spread 1.
    """
    if isinstance(images, MemoryImages):
        rows = torch.from_numpy(images.rows)
        chunks = (images.pool.index_select(0, part) for part in rows.split(_CHUNK))
    else:
        sample = np.sort(permutation(len(images), "statistics")[:_STREAMED])
        chunks = (each for i in sample if (each := _readable(images, int(i))) is not None)
    count = 0
    sums = torch.zeros(2, images.shape[0], dtype=torch.float64)
    for chunk in chunks:
        count += chunk.numel() // chunk.shape[1]
        sums += _byte_sums(chunk) if chunk.dtype == torch.uint8 else _float_sums(chunk)
    means = (sums[0] / max(count, 1)).tolist()
    squares = (sums[1] / max(count, 1)).tolist()
    spreads = [math.sqrt(max(s - m * m, 0.0)) for m, s in zip(means, squares, strict=True)]
    return tuple(means), tuple(spread if spread > 1e-6 else 1.0 for spread in spreads)


def _readable(images: Images, i: int) -> Tensor | None:
    try:
        return images.read(i).unsqueeze(0)
    except UnreadableImageError:
        return None


def _byte_sums(chunk: Tensor) -> Tensor:
    """Sums of x and of x squared, (2, C), of bytes as numbers in 0..1."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    bins = torch.stack(
        [torch.bincount(chunk[:, c].reshape(-1), minlength=256) for c in range(chunk.shape[1])]
    ).to(torch.float64)
    return torch.stack([bins @ levels, bins @ levels.square()])


def _float_sums(chunk: Tensor) -> Tensor:
    values = chunk.to(torch.float64)
    return torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
