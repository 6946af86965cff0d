"""Convolution as one matrix product: every window becomes a column (im2col)."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._windows import Pair, cropped, padded, pair, windows
from netwright.nn.by_hand.convolution import check_channels


@BY_HAND.register(
    "unfold",
    paper="Chellapilla, Puri & Simard 2006, High performance convolutional neural networks for "
    "document processing",
)
def unfold(
    x: Array, *, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1
) -> tuple[Array, Backward]:
    """im2col: each window of a map written as a column.

    x (N, C, H, W); y is (N, C kh kw, P), P = H' W' places in row-major order; down a column come
    the channels, in each the window row by row. It copies: y has about kh kw / stride^2 times the
    numbers of x.

    Backward: y[q, p] is a copy of one pixel, so its gradient goes back to that pixel, and a pixel
    that was copied into several windows gets the sum: `fold` (col2im). The two are transposes of
    each other, <unfold(x), c> = <x, fold(c)>; fold(unfold(x)) is not x but x times the number of
    windows each pixel is in.

    >>> x = np.arange(1.0, 7.0).reshape(1, 1, 2, 3)
    >>> y, backward = unfold(x, kernel_size=2)
    >>> y[0]  # windows 1 2 4 5 and 2 3 5 6
    array([[1., 2.],
           [2., 3.],
           [4., 5.],
           [5., 6.]])
    >>> backward(np.ones_like(y))[0][0, 0]
    array([[1., 2., 1.],
           [1., 2., 1.]])
    """
    sides = (x.shape[2], x.shape[3])
    _, places = windows(sides, kernel_size, stride, padding, dilation)
    x_pad = padded(x, padding)
    columns = [x_pad[..., r, c].reshape(x.shape[0], -1) for _, _, r, c in places]

    def backward(dy: Array) -> tuple[Array]:
        dx, _ = fold(
            dy,
            output_size=sides,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
        return (dx,)

    return np.stack(columns, axis=2), backward


@BY_HAND.register("fold", paper="Chellapilla, Puri & Simard 2006")
def fold(
    x: Array,
    *,
    output_size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> tuple[Array, Backward]:
    """col2im: columns put back where their windows were, overlaps added up.

    x (N, C kh kw, P); y is (N, C, H, W) of `output_size`. It is the transpose of `unfold` and not
    its inverse: it adds, where an inverse would take the mean.

    Backward: pixel y[h, w] is a sum of entries of x, each with factor 1, so each gets dy[h, w]:
    `unfold`.

    >>> x = np.array([[[1.0, 10.0], [2.0, 20.0]]])
    >>> y, backward = fold(x, output_size=(1, 3), kernel_size=(1, 2))
    >>> y[0, 0]  # 1 2 at place 0, 10 20 at place 1
    array([[ 1., 12., 20.]])
    >>> backward(np.array([[[[5.0, 6.0, 7.0]]]]))[0][0]
    array([[5., 6.],
           [6., 7.]])
    """
    kernel = pair(kernel_size)
    _, places = windows(output_size, kernel_size, stride, padding, dilation)
    n, channels = x.shape[0], x.shape[1] // (kernel[0] * kernel[1])
    y = padded(np.zeros((n, channels, *output_size)), padding)
    for p, (_, _, rows, columns) in enumerate(places):
        y[..., rows, columns] += x[:, :, p].reshape(n, channels, *kernel)

    def backward(dy: Array) -> tuple[Array]:
        dx, _ = unfold(
            dy, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation
        )
        return (dx,)

    return cropped(y, padding), backward


@BY_HAND.register("conv2d_im2col", paper="Chellapilla, Puri & Simard 2006")
def conv2d_im2col(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Array, Backward]:
    """Convolution as a product of two matrices: y = W X + b, X the windows as columns.

    Shapes and settings as in `conv2d`, and the same numbers up to the order of the sums. In each
    group W is (O / G, K) and X (K, P), with K = C / G kh kw: a convolution is a linear layer that
    is applied to every window.

    Backward: that of the linear layer, dW = dy X^T and dX = W^T dy; then dX goes from the columns
    back to the pixels, where overlaps add up: the backward pass of `unfold`.

    What goes wrong: X holds each pixel up to kh kw times; this memory is the price of the one fast
    product. For 1 x 1 kernels at stride 1 nothing is copied and X is x.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> y, backward = conv2d_im2col(x, np.array([[[[1.0, 0.0], [0.0, -1.0]]]]))
    >>> y[0, 0]
    array([[-4., -4.],
           [-4., -4.]])
    """
    check_channels(x, weight, groups)
    n, out_channels, kernel = x.shape[0], weight.shape[0], (weight.shape[2], weight.shape[3])
    sides = (x.shape[2], x.shape[3])
    (out_h, out_w), _ = windows(sides, kernel, stride, padding, dilation)
    columns, to_pixels = unfold(
        x, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation
    )
    # (N, G, K, P) and (G, O / G, K): one matrix product for each sample and group
    stacked = columns.reshape(n, groups, -1, out_h * out_w)
    kernels = weight.reshape(groups, out_channels // groups, -1)
    y = (kernels @ stacked).reshape(n, out_channels, out_h, out_w)
    if bias is not None:
        y = y + bias[:, None, None]

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        dout = dy.reshape(n, groups, out_channels // groups, out_h * out_w)
        dkernels = (dout @ stacked.swapaxes(2, 3)).sum(axis=0)
        dcolumns = kernels.swapaxes(1, 2) @ dout
        (dx,) = to_pixels(dcolumns.reshape(columns.shape))
        return dx, dkernels.reshape(weight.shape), dy.sum(axis=(0, 2, 3))

    return y, backward
