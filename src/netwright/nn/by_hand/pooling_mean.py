"""Mean pooling: the mean of each window goes on, and the gradient in equal parts to all of it."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._windows import Pair, cropped, padded, windows


@BY_HAND.register(
    "avg_pool2d", paper="LeCun et al. 1998, Gradient-based learning applied to document recognition"
)
def avg_pool2d(
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Backward]:
    """Mean pooling: y = the mean of each window.

    x (N, C, H, W), y (N, C, H', W'), channel by channel; `stride` is the kernel's size unless it is
    given.

        y[n, c, i, j] = 1 / k_ij sum of x[n, c, window of (i, j)]

    k_ij is how many pixels the window counts: all kh kw, padding included, or with
    `count_include_pad=False` those of the map alone. What a window of `ceil_mode` has beyond the
    padding never counts.

    Backward: every pixel of the window has the derivative 1 / k_ij, so each gets an equal share;
    overlaps add up. With windows that do not overlap the sum of dx is the sum of dy.

        dx[window of (i, j)] += dy[i, j] / k_ij

    What goes wrong: the gradient is divided, not copied to all; and with `count_include_pad` (the
    default, as in torch) the border of y is darker than the map, for zeros are averaged in.

    >>> x = np.array([[[[1.0, 3.0, 8.0]]]])
    >>> y, backward = avg_pool2d(x, kernel_size=(1, 2), stride=1)
    >>> y[0, 0]
    array([[2. , 5.5]])
    >>> backward(np.array([[[[2.0, 10.0]]]]))[0][0, 0]
    array([[1., 6., 5.]])
    """
    sides, places = windows(
        (x.shape[2], x.shape[3]),
        kernel_size,
        kernel_size if stride is None else stride,
        padding,
        ceil_mode=ceil_mode,
    )
    x_pad = padded(x, padding)
    ones = np.ones(x.shape[2:])
    counted = np.ones(x_pad.shape[2:]) if count_include_pad else padded(ones, padding)
    y = np.zeros((*x.shape[:2], *sides))
    for i, j, rows, columns in places:
        y[..., i, j] = x_pad[..., rows, columns].sum(axis=(2, 3)) / counted[rows, columns].sum()

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros(x_pad.shape)
        for i, j, rows, columns in places:
            dx[..., rows, columns] += dy[..., i, j, None, None] / counted[rows, columns].sum()
        return (cropped(dx, padding),)

    return y, backward


@BY_HAND.register("global_avg_pool2d", paper="Lin, Chen & Yan 2014, Network in network, sec. 3.2")
def global_avg_pool2d(x: Array) -> tuple[Array, Backward]:
    """Global mean pooling: the mean of each map.

    x (N, C, H, W), y (N, C, 1, 1): one window as large as the map, whatever its size. It stands
    where older networks flatten, and saves their largest weight matrix.

    Backward: dx = dy / (H W) at every pixel of the map.

    What goes wrong: the gradient at a pixel is H W times smaller than that of the mean.

    >>> y, backward = global_avg_pool2d(np.array([[[[1.0, 4.0], [2.0, 3.0]]]]))
    >>> y.item(), backward(np.full((1, 1, 1, 1), 8.0))[0][0, 0]
    (2.5, array([[2., 2.],
           [2., 2.]]))
    """
    return avg_pool2d(x, kernel_size=(x.shape[2], x.shape[3]))
