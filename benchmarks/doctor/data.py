"""Small data sets, and how they are split: everything follows from the seed.

Images are (N, C, H, W) in 0..1, targets as the losses of torch want them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from netwright.data.sources import Request
from netwright.data.sources.digits import DigitsOptions
from netwright.data.sources.digits import digits as built_in
from netwright.data.sources.shapes import draw, figures

Pair = tuple[Tensor, Tensor]


class Splits(NamedTuple):
    """What is trained on, what the loop looks at meanwhile, and what it never sees."""

    train: Pair
    val: Pair
    test: Pair


def digits(seed: int) -> Splits:
    """Ten classes, 8 by 8 grey: 1,140 to train, 297 to validate, 360 to test."""
    return split(*_digits(), seed, val=297, test=360)


def shapes(seed: int) -> Splits:
    """Four kinds of figures, 16 by 16 in colour: 900, 200 and 300."""
    images, kinds, _ = _shapes()
    return split(images, kinds, seed, val=200, test=300)


def masks(seed: int) -> Splits:
    """The same figures with the pixels they cover, (N, 1, 16, 16) of 0 and 1."""
    images, _, covered = _shapes()
    return split(images, covered, seed, val=150, test=250)


def tokens(seed: int) -> Splits:
    """Rows of 12 tokens of 10 kinds: which of the first four kinds occurs most often?"""
    draws = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 10, (4000, 12), generator=draws)
    counts = torch.stack([(rows == kind).sum(1) for kind in range(4)], 1)
    best = counts.topk(2, 1).values
    clear = best[:, 0] > best[:, 1]
    return split(rows[clear][:2200], counts.argmax(1)[clear][:2200], seed, val=300, test=400)


def waves(seed: int) -> Splits:
    """20 noisy steps of two values that turn slowly or fast, left or right: four classes."""
    draws = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 4, (1700,), generator=draws)
    speed = torch.tensor([0.35, 0.8, -0.35, -0.8])[kind]
    begin = 6.283 * torch.rand(1700, generator=draws)
    angle = begin[:, None] + speed[:, None] * torch.arange(20)
    steps = torch.stack([angle.cos(), angle.sin()], 2)
    return split(steps + 0.4 * torch.randn(steps.shape, generator=draws), kind, seed)


def tabular(seed: int) -> Splits:
    """Eight features, three targets that bend and multiply them, all of variance about one."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 8, generator=draws)
    y = torch.stack(
        [
            (2 * x[:, 0]).sin() + x[:, 1] * x[:, 2],
            x[:, 3] ** 2 - 1 + x[:, 4],
            x[:, 5].abs() - 0.8 + x[:, 6] * x[:, 7].sign(),
        ],
        1,
    )
    y = (y - y.mean(0)) / y.std(0) + 0.05 * torch.randn(y.shape, generator=draws)
    return split(x, y, seed)


def table_of_two(seed: int) -> Splits:
    """Twelve features, two classes told apart by a product and a sum: targets (N, 1) of 0, 1."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(1800, 12, generator=draws)
    logit = 2 * x[:, 0] * x[:, 1] + 1.5 * x[:, 2] - x[:, 3] ** 2 + 1
    y = (logit + 0.2 * torch.randn(1800, generator=draws) > 0).float()
    return split(x, y[:, None], seed)


def split(x: Tensor, y: Tensor, seed: int, *, val: int = 300, test: int = 400) -> Splits:
    """Three parts, drawn by the seed."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1000 + seed))
    x, y = x[order], y[order]
    return Splits(
        (x[val + test :].clone(), y[val + test :].clone()),
        (x[:val].clone(), y[:val].clone()),
        (x[val : val + test].clone(), y[val : val + test].clone()),
    )


@lru_cache
def _digits() -> Pair:
    found = built_in(Request(place="digits"), DigitsOptions())
    parts = [found.parts[name] for name in ("train", "test")]
    rows = torch.cat([torch.from_numpy(each.rows) for each in parts])
    labels = torch.cat([torch.from_numpy(each.labels) for each in parts])
    return parts[0].pool[rows].float() / 255, labels


@lru_cache
def _shapes() -> tuple[Tensor, Tensor, Tensor]:
    some = figures(1400, num_classes=4)
    images, covered = draw(some, size=16, noise=0.1)
    return (
        torch.from_numpy(images).float() / 255,
        torch.from_numpy(some.kind),
        (torch.from_numpy(covered)[:, None] >= 128).float(),
    )
