"""Transposed convolution: every pixel stamps the kernel, times its value, on a larger map."""

from __future__ import annotations

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._windows import Pair, cropped, padded, pair, windows


@BY_HAND.register(
    "conv_transpose2d",
    paper="Zeiler et al. 2010, Deconvolutional networks; sizes: Dumoulin & Visin 2016, A guide to "
    "convolution arithmetic, relationship 14",
)
def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Transposed convolution: the backward pass of a convolution, used as a forward pass.

    x (N, C, H, W), weight (C, O / groups, kh, kw), the channels of x first; bias (O,). y is
    (N, O, H', W') with H' = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.

        y[window of (i, j)] += sum_c x[c, i, j] W[c]      for each pixel (i, j) of x

    These are the windows that a convolution with the same settings has on a map of the size of y:
    it would lead from y back to the shape of x. The matrix of this layer is the transpose of the
    matrix of that convolution, whence the name. It is no inverse: shapes come back, values do not.
    The same result comes from putting stride - 1 zeros between the pixels, padding with dilation
    (k - 1) - padding and convolving with the flipped kernel at stride 1.

    Backward: the transpose of the transpose is the convolution again,

        dx[c, i, j] = sum_o <dy[o, window of (i, j)], W[c, o]>
        dW[c, o]    = sum over n, i, j of x[n, c, i, j] dy[n, o, window of (i, j)]
        db[o]       = sum over n and all pixels of dy

    What goes wrong: `output_padding` adds rows at one end; it pads nothing, it says which of the
    sizes that the convolution would map to the same H is meant, and must be below the stride or the
    dilation (`SettingError`). Where the kernel is no multiple of the stride, pixels of y get
    unequal numbers of stamps: a checkerboard (Odena, Dumoulin & Olah 2016).

    >>> x, kernel = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0, 100.0]]]])
    >>> y, backward = conv_transpose2d(x, kernel, stride=(1, 2))
    >>> y[0, 0]  # 1 10 100, and two further on 2 20 200
    array([[  1.,  10., 102.,  20., 200.]])
    >>> dx, dw, db = backward(np.array([[[[1.0, 0.0, 1.0, 0.0, 0.0]]]]))
    >>> dx[0, 0], dw[0, 0]
    (array([[101.,   1.]]), array([[3., 0., 1.]]))
    """
    n, channels, height, width = x.shape
    out_channels, kernel = weight.shape[1] * groups, (weight.shape[2], weight.shape[3])
    if channels != weight.shape[0] or channels % groups:
        raise SettingError(
            "A transposed weight from {expected} channels with groups={groups} does not fit an "
            "input of {channels} channels.",
            hint="The first axis of the weight is the channels of the input, which groups must "
            "divide.",
            expected=weight.shape[0],
            groups=groups,
            channels=channels,
        )
    sides = _out_sides((height, width), kernel, stride, padding, output_padding, dilation)
    _, places = windows(sides, kernel, stride, padding, dilation)
    places = [each for each in places if each[0] < height and each[1] < width]
    # g a group, c and o a channel in and out of it, a and b a place in the kernel
    maps = x.reshape(n, groups, channels // groups, height, width)
    kernels = weight.reshape(groups, channels // groups, *weight.shape[1:])
    y = padded(np.zeros((n, groups, out_channels // groups, *sides)), padding)
    for i, j, rows, columns in places:
        y[..., rows, columns] += np.einsum("ngc,gcoab->ngoab", maps[..., i, j], kernels)
    out = cropped(y, padding).reshape(n, out_channels, *sides)
    if bias is not None:
        out = out + bias[:, None, None]

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dout = padded(dy, padding).reshape(y.shape)
        dmaps, dkernels = np.zeros(maps.shape), np.zeros(kernels.shape)
        for i, j, rows, columns in places:
            stamp = dout[..., rows, columns]
            dmaps[..., i, j] = np.einsum("ngoab,gcoab->ngc", stamp, kernels)
            dkernels += np.einsum("ngc,ngoab->gcoab", maps[..., i, j], stamp)
        return dmaps.reshape(x.shape), dkernels.reshape(weight.shape), dy.sum(axis=(0, 2, 3))

    return out, backward


def _out_sides(
    sides: tuple[int, int],
    kernel: tuple[int, int],
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
) -> tuple[int, int]:
    found = []
    for side, k, s, p, extra, d in zip(
        sides, kernel, pair(stride), pair(padding), pair(output_padding), pair(dilation),
        strict=True,
    ):  # fmt: skip
        if not 0 <= extra < max(s, d):
            raise SettingError(
                "output_padding: {extra} must be below the stride ({stride}) or the dilation "
                "({dilation}).",
                extra=extra,
                stride=s,
                dilation=d,
            )
        found.append((side - 1) * s - 2 * p + d * (k - 1) + extra + 1)
    return found[0], found[1]
