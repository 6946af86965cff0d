"""Max pooling: the largest value of each window goes on, and the gradient to where it stood."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward, Places
from netwright.nn.by_hand._windows import Pair, padded, windows


@BY_HAND.register(
    "max_pool2d",
    paper="Zhou & Chellappa 1988, Computation of optical flow using a neural network; Scherer, "
    "Mueller & Behnke 2010, Evaluation of pooling operations",
)
def max_pool2d(
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Backward]:
    """Max pooling: y = the largest of each window.

    x (N, C, H, W), y (N, C, H', W'), channel by channel; `stride` is the kernel's size unless it is
    given. Padding never wins: it counts as minus infinity, not as 0.

        y[n, c, i, j] = x[n, c, m]    m = the place of the maximum in window (i, j)

    Backward: near x the maximum is simply that one pixel, so its derivative is 1 and all others are
    0. There is no weight to learn, but there is a gradient, and it is a routing:

        dx[n, c, m] += dy[n, c, i, j]     for each window (i, j)

    A pixel that wins in several overlapping windows gets the sum of their gradients; a pixel that
    wins nowhere gets 0. The forward pass has to remember m (`max_places`).

    What goes wrong: with two equal maxima the function has a kink and no derivative. torch gives
    everything to the first of them, row by row, and so does this; a numeric derivative finds
    something else there. After ReLU ties are common: a window of zeros.

    >>> x = np.array([[[[1.0, 3.0, 3.0, 2.0]]]])
    >>> y, backward = max_pool2d(x, kernel_size=(1, 2), stride=1)
    >>> y[0, 0]
    array([[3., 3., 3.]])
    >>> backward(np.array([[[[10.0, 20.0, 30.0]]]]))[0][0, 0]  # the tie of window 2: to the first
    array([[ 0., 30., 30.,  0.]])
    """
    places = max_places(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    n, channels = x.shape[:2]
    flat = places.reshape(n, channels, -1)
    y = np.take_along_axis(x.reshape(n, channels, -1), flat, axis=2)

    def backward(dy: Array) -> tuple[Array]:
        dx = np.zeros((n, channels, x.shape[2] * x.shape[3]))
        sample, channel = np.ogrid[:n, :channels]
        # add.at and not +=: the same place may come several times
        np.add.at(dx, (sample[..., None], channel[..., None], flat), dy.reshape(flat.shape))
        return (dx.reshape(x.shape),)

    return y.reshape(places.shape), backward


def max_places(
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Places:
    """Where the maximum of each window stands: row W + column, in the map without its padding.

    x (N, C, H, W); the result (N, C, H', W') holds integers below H W, as torch's
    `return_indices=True`. Of equal values it is the first, row by row.

    >>> max_places(np.array([[[[1.0, 2.0], [5.0, 0.0], [0.0, 7.0], [7.0, 0.0]]]]), kernel_size=2)
    array([[[[2],
             [5]]]])
    """
    n, channels, height, width = x.shape
    sides, every = windows(
        (height, width),
        kernel_size,
        kernel_size if stride is None else stride,
        padding,
        dilation,
        ceil_mode=ceil_mode,
    )
    # 1 to H W on the map and 0 on the padding, which is no candidate
    numbers = padded(np.arange(1.0, height * width + 1).reshape(height, width), padding)
    flat = x.reshape(n, channels, height * width)
    places = np.zeros((n, channels, *sides), dtype=np.int64)
    for i, j, rows, columns in every:
        window = numbers[rows, columns].ravel().astype(np.int64)
        candidates = window[window > 0] - 1
        places[..., i, j] = candidates[flat[..., candidates].argmax(axis=2)]
    return places


@BY_HAND.register(
    "global_max_pool2d", paper="Oquab, Bottou, Laptev & Sivic 2015, Is object localization for free"
)
def global_max_pool2d(x: Array) -> tuple[Array, Backward]:
    """Global max pooling: the largest value of each map.

    x (N, C, H, W), y (N, C, 1, 1): one window as large as the map, whatever its size. The answer is
    the same wherever the strongest response stands.

    Backward: dx is dy at the first place of the maximum and 0 everywhere else: one pixel of each
    map learns.

    What goes wrong: torch's `amax` is the same function with another gradient at ties, which it
    shares between the equal values; `adaptive_max_pool2d` sends all to the first, as this does.

    >>> y, backward = global_max_pool2d(np.array([[[[1.0, 4.0], [2.0, 3.0]]]]))
    >>> y.item(), backward(np.full((1, 1, 1, 1), 5.0))[0][0, 0]
    (4.0, array([[0., 5.],
           [0., 0.]]))
    """
    return max_pool2d(x, kernel_size=(x.shape[2], x.shape[3]))
