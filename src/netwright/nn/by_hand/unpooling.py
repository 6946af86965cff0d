"""Max unpooling: values go back to the places where the maxima stood."""

from __future__ import annotations

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward, Places


@BY_HAND.register(
    "max_unpool2d",
    paper="Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, sec. 2.1; "
    "Badrinarayanan, Kendall & Cipolla 2017, SegNet",
)
def max_unpool2d(
    x: Array, places: Places, *, output_size: tuple[int, int]
) -> tuple[Array, Backward]:
    """Max unpooling: y is x at the remembered places and 0 elsewhere.

    x (N, C, H, W); `places` of the same shape holds row W' + column in a map of `output_size`, as
    `max_places` gives them for the pooling that is to be undone; y is (N, C, H', W').

        y[n, c, places[n, c, i, j]] = x[n, c, i, j]

    Backward: each x was copied to one place, so its gradient is read there:

        dx[n, c, i, j] = dy[n, c, places[n, c, i, j]]

    It is the transpose of max pooling's routing: pooling gathers forward and scatters backward,
    this scatters forward and gathers backward. Places have no gradient.

    What goes wrong: it is no inverse of pooling: all but the maxima are lost, and y is mostly
    zeros, so a convolution has to follow and fill it in. Where pooling windows overlapped, two x
    may claim one place: the last one stays (torch promises nothing), and the gradient, read twice,
    is then not that of the forward pass. Raises `SettingError` for a place outside the map.

    >>> x, places = np.array([[[[7.0, 9.0]]]]), np.array([[[[1, 2]]]])
    >>> y, backward = max_unpool2d(x, places, output_size=(1, 4))
    >>> y[0, 0]
    array([[0., 7., 9., 0.]])
    >>> backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]))[0][0, 0]
    array([[2., 3.]])
    """
    height, width = output_size
    if places.size and not 0 <= int(places.min()) <= int(places.max()) < height * width:
        raise SettingError(
            "max_unpool2d: the places go from {low} to {high}, and a map of {height} x {width} has "
            "0 to {last}.",
            low=int(places.min()),
            high=int(places.max()),
            height=height,
            width=width,
            last=height * width - 1,
        )
    n, channels = x.shape[:2]
    flat = places.reshape(n, channels, -1)
    y = np.zeros((n, channels, height * width))
    np.put_along_axis(y, flat, x.reshape(flat.shape), axis=2)

    def backward(dy: Array) -> tuple[Array]:
        gathered = np.take_along_axis(dy.reshape(n, channels, -1), flat, axis=2)
        return (gathered.reshape(x.shape),)

    return y.reshape(n, channels, height, width), backward
