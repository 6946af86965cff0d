"""Mirrors and moves by whole pixels of a whole batch, which copy pixels and change none.

Leaves that stand together are done in one go. A moved image is a run of neighbouring memory that
begins a little before or behind the image itself: one copy for each image, after which what came
round the edge is painted over. Measured with flip and crop on 64 images of 32x32x3: 0.17 ms, and
0.40 ms where each window is chosen by an index.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.augment import Fill
from netwright.augment._parts import parts_of
from netwright.augment.keys import Keys
from netwright.core.errors import SettingError
from netwright.core.keyed import whole

Whole: TypeAlias = npt.NDArray[np.int64]
Mirrors: TypeAlias = list[tuple[int, npt.NDArray[np.bool_]]]
"""An axis, and for which images it is turned round."""

_BYTES = 2**20
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Mirror(NamedTuple):
    """Half of the images turned round along `axis`, drawn in the lane `name`."""

    name: str
    axis: int

    @property
    def lanes(self) -> tuple[str, ...]:
        return (self.name,)


class Window(NamedTuple):
    """A move by up to so many pixels both ways, drawn in `name`-y and `name`-x."""

    name: str

    @property
    def lanes(self) -> tuple[str, ...]:
        return f"{self.name}-y", f"{self.name}-x"


def rearranged(
    images: Tensor, keys: Keys, steps: Sequence[tuple[Mirror | Window, Any]], fill: Fill
) -> Tensor:
    """Mirrored and moved, one after the other, `fill` where nothing came from.

    (N, C, H, W) -> (N, C, H, W), in new memory; each step with its amount: how many pixels a
    window moves at most. Every one of the (2 reach + 1)^2 moves is equally likely. Raises
    `SettingError` where an image could leave its frame.
    """
    draws = iter(keys.uniforms([lane for step, _ in steps for lane in step.lanes]))
    mirrors: Mirrors = []
    for step, amount in steps:
        if isinstance(step, Mirror):
            mirrors.append((step.axis, next(draws) < 0.5))
        else:
            _check_reach(step.name, amount, images)
            down, right = (whole(next(draws), 0, 2 * amount) for _ in step.lanes)
            images = _moved(images, mirrors, down, right, amount, fill)
            mirrors = []
    return _mirrored(images, mirrors) if mirrors else images


def _check_reach(name: str, reach: int, images: Tensor) -> None:
    height, width = images.shape[2:]
    if reach >= min(height, width):
        raise SettingError(
            "aug.{name}: {reach} pixels are too many for images of {height}x{width}.",
            name=name,
            reach=reach,
            height=height,
            width=width,
        )


def _mirrored(images: Tensor, mirrors: Mirrors) -> Tensor:
    laid = images.new_empty(images.shape)
    where = _lay_out(images, mirrors, laid)
    return laid.index_select(0, torch.from_numpy(where).to(images.device))


def _moved(
    images: Tensor, mirrors: Mirrors, down: Whole, right: Whole, reach: int, fill: Fill
) -> Tensor:
    """Each image `mirrored`, then the window of its frame, `reach` wide, at (down, right)."""
    out = images.new_empty(images.shape)
    width = images.shape[3]
    length = images[:1].numel()
    margin = reach * width + reach
    for part in parts_of(images, _BYTES // images.element_size()):
        some = images[part]
        store = images.new_empty(some.numel() + 2 * margin)
        laid = store[margin : margin + some.numel()].view(some.shape)
        where = _lay_out(some, [(axis, chosen[part]) for axis, chosen in mirrors], laid)
        starts = where * length + down[part] * width + right[part]
        # All runs there are, as rows that overlap; of these one is copied for each image.
        runs = store.as_strided((len(store) - length + 1, length), (1, 1))
        rows = torch.from_numpy(starts).to(images.device)
        torch.index_select(runs, 0, rows, out=out[part].view(len(some), length))
        _paint_over(out[part], down[part], right[part], reach, fill)
    return out


def _lay_out(images: Tensor, mirrors: Mirrors, laid: Tensor) -> Whole:
    """Into `laid` the images that stay as they are and, behind them, those that are mirrored;
    where in this row each of them stands is returned."""
    if not mirrors:
        laid.copy_(images)
        return np.arange(len(images))
    kind = np.zeros(len(images), np.int64)
    for bit, (_, chosen) in enumerate(mirrors):
        kind += chosen.astype(np.int64) << bit
    order = np.argsort(kind, kind="stable")
    torch.index_select(images, 0, torch.from_numpy(order).to(images.device), out=laid)
    ends = np.searchsorted(kind[order], np.arange(2 ** len(mirrors)), side="right").tolist()
    for number, (begin, end) in enumerate(itertools.pairwise(ends), start=1):
        axes = [axis for bit, (axis, _) in enumerate(mirrors) if number >> bit & 1]
        laid[begin:end] = laid[begin:end].flip(axes)
    where = np.empty_like(order)
    where[order] = np.arange(len(order))
    return where


def _paint_over(images: Tensor, down: Whole, right: Whole, reach: int, fill: Fill) -> None:
    """`fill` where a window reaches beyond its image. By the bits of the numbers: choosing
    between two tensors takes 20 times as long."""
    word = _WORDS[images.element_size()]
    rows, columns = (
        _inside(length, reach, word, images.device).index_select(
            0, torch.from_numpy(place).to(images.device)
        )
        for length, place in zip(images.shape[2:], (down, right), strict=True)
    )
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    bits = images.view(word).bitwise_and_(inside)
    if isinstance(fill, Tensor) or fill:
        border = torch.as_tensor(fill).to(images).view(-1, 1, 1)
        bits.bitwise_or_(border.view(word) & ~inside)


@functools.lru_cache(maxsize=64)
def _inside(length: int, reach: int, word: torch.dtype, device: torch.device) -> Tensor:
    """For each place of a window along one side, (2 reach + 1, length): all bits where it shows
    the image, none beyond."""
    shown = torch.arange(length) + torch.arange(-reach, reach + 1)[:, None]
    return ((shown >= 0) & (shown < length)).to(word).neg_().to(device)
