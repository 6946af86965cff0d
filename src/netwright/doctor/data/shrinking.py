"""Samples of any kind as short rows of numbers that can be compared."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Matrix = np.ndarray[Any, np.dtype[np.float64]]

Kind = Literal["image", "features", "series", "tokens", "unknown"]

WIDEST = 256
"""Numbers a sample is shrunk to, at most."""


def kind_of(inputs: Tensor) -> Kind:
    """What a batch is, by its shape and type; `tokens` have no distances between them.

    >>> kind_of(torch.zeros(8, 3, 32, 32)), kind_of(torch.zeros(8, 12, dtype=torch.int64))
    ('image', 'tokens')
    """
    if inputs.is_complex() or inputs.ndim < 1 or inputs.is_sparse:
        return "unknown"
    whole = not inputs.is_floating_point()
    if inputs.ndim == 4 or (inputs.dtype == torch.uint8 and inputs.ndim == 3):
        return "image"
    if whole and inputs.dtype not in (torch.uint8, torch.bool):
        return "tokens"
    if inputs.ndim <= 2:
        return "features"
    if inputs.ndim == 3:
        # A grey image without its channel is at least 8 x 8 and square; the rest are series.
        square = inputs.shape[1] == inputs.shape[2] >= 8
        return "image" if square else "series"
    return "series"


BUCKETS = 128
"""Kinds of tokens that are counted apart; more share a count."""


def counted(tokens: Tensor) -> Matrix:
    """(N, 128): how often each token occurs in a sample, wherever it stands.

    >>> counted(torch.tensor([[3, 3, 5]]))[0, 3:6].tolist()
    [2.0, 0.0, 1.0]
    """
    places = tokens.reshape(len(tokens), -1).long().remainder(BUCKETS)
    counts = torch.zeros(len(tokens), BUCKETS)
    return counts.scatter_add_(1, places, torch.ones_like(places).float()).double().numpy()


def channels_first(inputs: Tensor) -> Tensor:
    """An image batch as (N, C, H, W) in floating point, wherever its channels stand."""
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.shape[1] not in (1, 2, 3, 4) and inputs.shape[-1] in (1, 2, 3, 4):
        inputs = inputs.movedim(-1, 1)
    return inputs if inputs.is_floating_point() else inputs.float()


def shrunk(inputs: Tensor, kind: Kind) -> Matrix | None:
    """(N, D) with D <= `WIDEST`: images as small ones by averaging, else an even choice of the
    numbers; None for what has no distances. What is not finite counts as 0."""
    if kind in ("tokens", "unknown") or not len(inputs):
        return None
    if kind == "image":
        images = channels_first(inputs)
        side = max(2, int((WIDEST / images.shape[1]) ** 0.5))
        size = (min(side, images.shape[2]), min(side, images.shape[3]))
        small = F.adaptive_avg_pool2d(images.float().nan_to_num(0, 0, 0), size).flatten(1)
    else:
        small = inputs.reshape(len(inputs), -1)
        small = small[:, chosen(small.shape[1])].float().nan_to_num(0, 0, 0)
    # A feature map of many channels is wider than that even at 2 x 2.
    return small[:, chosen(small.shape[1])].double().numpy()


def chosen(width: int) -> Tensor:
    """Which of `width` numbers are kept, evenly.

    >>> chosen(4).tolist(), len(chosen(1000))
    ([0, 1, 2, 3], 256)
    """
    if width <= WIDEST:
        return torch.arange(width)
    return torch.linspace(0, width - 1, WIDEST, dtype=torch.float64).round().long()


def moments(inputs: Tensor, kind: Kind) -> tuple[Matrix, Matrix] | None:
    """Mean and mean square of each channel of each sample, (N, C) both; of images alone."""
    if kind != "image" or not len(inputs):
        return None
    images = channels_first(inputs).double().nan_to_num(0, 0, 0).flatten(2)
    return images.mean(2).numpy(), images.square().mean(2).numpy()


def spreads(mean: Matrix, square: Matrix) -> Matrix:
    """The standard deviation of each channel over all pixels of all samples."""
    return np.sqrt(np.maximum(square.mean(0) - mean.mean(0) ** 2, 0))
