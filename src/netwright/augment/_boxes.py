"""Boxes of a whole batch: one in each image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Whole = npt.NDArray[np.int64]


def covered(images: Tensor, top: Whole, left: Whole, bottom: Whole, right: Whole) -> Tensor:
    """True inside the box of each image, (N, 1, H, W); `bottom` and `right` are outside it.

    Four numbers for each image, (N,), that may lie beyond the image.
    """
    height, width = images.shape[2:]

    def between(first: Whole, last: Whole, length: int) -> Tensor:
        places = torch.arange(length, device=images.device)
        start, end = (torch.from_numpy(each).to(images.device)[:, None] for each in (first, last))
        return (places >= start) & (places < end)

    rows, columns = between(top, bottom, height), between(left, right, width)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
