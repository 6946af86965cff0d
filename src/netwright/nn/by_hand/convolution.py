"""Convolution as it is defined: a window slides over the map, one weighted sum at each place."""

from __future__ import annotations

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._windows import Pair, cropped, padded, windows


@BY_HAND.register(
    "conv2d",
    paper="LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition; sizes: "
    "Dumoulin & Visin 2016, A guide to convolution arithmetic, sec. 4; dilation: Yu & Koltun 2016; "
    "groups: Krizhevsky, Sutskever & Hinton 2012",
)
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Convolution, straight from the definition.

    x (N, C, H, W), weight (O, C / groups, kh, kw), bias (O,); y is (N, O, H', W') with H' =
    floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1. With c over the channels of the
    group of o, and x zero outside the map:

        y[n, o, i, j] = b[o] + sum over c, a, b of
                        W[o, c, a, b] x[n, c, i stride + a dilation - padding, j stride + ...]

    Dilation d spreads the kernel over d (k - 1) + 1 pixels with the same k^2 weights: `x[..., ::d]`
    inside the window. With G groups the channels are split into G parts that never meet; each
    output sees the C / G channels of its own part. G = C is depthwise.

    Backward: y[o, i, j] is linear in the window and linear in the kernel. Each place (i, j) hands
    its dy to both, and where windows overlap the shares add up:

        dx[window of (i, j)] += sum_o dy[o, i, j] W[o]        (a sum over places that saw the pixel)
        dW[o] = sum over n, i, j of dy[n, o, i, j] x[n, window of (i, j)]
        db[o] = sum over n, i, j of dy[n, o, i, j]            (one bias a map, not one a pixel)

    Rows that the stride never reaches have a gradient of 0; the gradient of the padding is cut off.
    dx is a transposed convolution of dy (`conv_transpose2d`), dW a convolution of x with dy.

    What goes wrong: this is cross-correlation, as in every framework: the kernel is not flipped.
    The convolution of mathematics flips it in both axes. For learned kernels that is a matter of
    names; a fixed odd kernel (Sobel) changes its sign. H' rounds down: (H + 2 padding - ...) mod
    stride rows at the end are never seen. Raises `SettingError` for a weight that does not fit.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> kernel = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
    >>> y, backward = conv2d(x, kernel)
    >>> y[0, 0]  # upper left less lower right
    array([[-4., -4.],
           [-4., -4.]])
    >>> dx, dw, db = backward(np.ones((1, 1, 2, 2)))
    >>> dx[0, 0]  # the centre is in four windows, with 1 and with -1
    array([[ 1.,  1.,  0.],
           [ 1.,  0., -1.],
           [ 0., -1., -1.]])
    >>> dw[0, 0], db  # each weight meets a 2 x 2 part of x: 0 + 1 + 3 + 4 ...
    (array([[ 8., 12.],
           [20., 24.]]), array([4.]))
    """
    check_channels(x, weight, groups)
    n, channels = x.shape[:2]
    out_channels, _, *kernel = weight.shape
    (out_h, out_w), places = windows(
        (x.shape[2], x.shape[3]), (kernel[0], kernel[1]), stride, padding, dilation
    )
    # g a group, c and o a channel in and out of it, a and b a place in the kernel
    x_pad = padded(x, padding)
    maps = x_pad.reshape(n, groups, channels // groups, *x_pad.shape[2:])
    kernels = weight.reshape(groups, out_channels // groups, *weight.shape[1:])
    y = np.zeros((n, groups, out_channels // groups, out_h, out_w))
    for i, j, rows, columns in places:
        y[..., i, j] = np.einsum("ngcab,gocab->ngo", maps[..., rows, columns], kernels)
    out = y.reshape(n, out_channels, out_h, out_w)
    if bias is not None:
        out = out + bias[:, None, None]

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dout = dy.reshape(y.shape)
        dmaps, dkernels = np.zeros(maps.shape), np.zeros(kernels.shape)
        for i, j, rows, columns in places:
            dplace = dout[..., i, j]
            dmaps[..., rows, columns] += np.einsum("ngo,gocab->ngcab", dplace, kernels)
            dkernels += np.einsum("ngo,ngcab->gocab", dplace, maps[..., rows, columns])
        dx = cropped(dmaps.reshape(x_pad.shape), padding)
        return dx, dkernels.reshape(weight.shape), dy.sum(axis=(0, 2, 3))

    return out, backward


def check_channels(x: Array, weight: Array, groups: int) -> None:
    """Raise `SettingError` unless the channels of `x` fit `weight` (O, C / groups, ...)."""
    channels, (out, of_group) = x.shape[1], weight.shape[:2]
    if channels != of_group * groups or out % groups:
        raise SettingError(
            "A weight of {out} kernels over {of_group} channels with groups={groups} does not fit "
            "an input of {channels} channels.",
            hint="The input needs groups x {of_group} channels, and groups must divide the "
            "number of kernels.",
            out=out,
            of_group=of_group,
            groups=groups,
            channels=channels,
        )
