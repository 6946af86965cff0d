"""Where the window of a convolution or pooling stands, place by place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import Array

Pair: TypeAlias = int | tuple[int, int]
Window: TypeAlias = tuple[int, int, slice, slice]
"""Row and column of the output, rows and columns of the padded input."""


def pair(value: Pair) -> tuple[int, int]:
    """One number for both axes, or one each: (height, width)."""
    return (value, value) if isinstance(value, int) else value


def padded(x: Array, padding: Pair) -> Array:
    """`x` (..., H, W) with `padding` rows and columns of zeros on each side."""
    rows, columns = pair(padding)
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(rows, rows), (columns, columns)])


def cropped(x: Array, padding: Pair) -> Array:
    """`x` without the border that `padded` puts round it; it is the backward pass of `padded`."""
    rows, columns = pair(padding)
    return x[..., rows : x.shape[-2] - rows, columns : x.shape[-1] - columns]


def out_side(
    side: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil_mode: bool = False
) -> int:
    """How many windows fit: floor((side + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    Source: Dumoulin & Visin 2016, A guide to convolution arithmetic, relationship 15. With
    `ceil_mode`, which is torch's, a last window may hang over the end, unless it would begin beyond
    the left padding and the input, in nothing but padding.

    >>> out_side(5, 2, 2, 0, 1), out_side(5, 2, 2, 0, 1, ceil_mode=True)
    (2, 3)
    """
    room = side + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        raise SettingError(
            "A window of {kernel} with dilation {dilation} does not fit into a side of {side} "
            "with padding {padding}.",
            kernel=kernel,
            dilation=dilation,
            side=side,
            padding=padding,
        )
    if not ceil_mode:
        return room // stride + 1
    last = -(-room // stride)
    return last if last * stride >= side + padding else last + 1


def windows(
    sides: tuple[int, int],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = 0,
    dilation: Pair = 1,
    *,
    ceil_mode: bool = False,
) -> tuple[tuple[int, int], list[Window]]:
    """The sides of the output, and for each of its places the slices of the padded input.

    >>> sides, places = windows((4, 5), kernel_size=2, stride=2)
    >>> sides, places[-1]
    ((2, 2), (1, 1, slice(2, 4, 1), slice(2, 4, 1)))
    """
    axes = list(
        zip(sides, pair(kernel_size), pair(stride), pair(padding), pair(dilation), strict=True)
    )
    out_h, out_w = (out_side(*axis, ceil_mode=ceil_mode) for axis in axes)
    rows, columns = (
        [*_slices(out, *axis[1:3], axis[4])] for out, axis in zip((out_h, out_w), axes, strict=True)
    )
    return (out_h, out_w), [
        (i, j, row, column) for i, row in enumerate(rows) for j, column in enumerate(columns)
    ]


def _slices(count: int, kernel: int, stride: int, dilation: int) -> Iterator[slice]:
    for place in range(count):
        first = place * stride
        yield slice(first, first + dilation * (kernel - 1) + 1, dilation)
