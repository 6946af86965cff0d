"""What the four norms share: less the mean, over the spread, and the gradient back through both."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import Array, Backward


def standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Backward]:
    """xhat = (x - mean) / s with s = sqrt(var + eps), mean and var over `axes`.

    var is the biased variance: the mean of (x - mean)^2, divided by their number m and not by
    m - 1. Forward: the values that share a mean come out with mean 0 and variance var / (var +
    eps), just below 1.

    Backward: x_i acts on each xhat_j three ways: directly, through the mean, through s.

        d xhat_j / d x_i = (1 / s) (delta_ij - 1 / m - xhat_i xhat_j / m)

    The last term: ds / dx_i = (x_i - mean) / (m s) = xhat_i / m, and xhat_j falls by xhat_j / s
    times that. Summed over j with dxhat_j, where mean() is over the same values:

        dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / s

    So dx has mean 0, for a shift of all x changes nothing; and it is orthogonal to xhat but for
    eps, for a stretch of all x changes nothing.
    """
    spread = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    xhat = (x - x.mean(axis=axes, keepdims=True)) / spread

    def backward(dxhat: Array) -> tuple[Array]:
        mean = dxhat.mean(axis=axes, keepdims=True)
        along = (dxhat * xhat).mean(axis=axes, keepdims=True)
        return ((dxhat - mean - xhat * along) / spread,)

    return xhat, backward


def scale_and_shift(
    xhat: Array, to_x: Backward, weight: Array | None, bias: Array | None, shared: tuple[int, ...]
) -> tuple[Array, Backward]:
    """y = weight xhat + bias, with the same weight and bias all along the axes `shared`.

    Backward: dweight sums dy xhat and dbias sums dy over these axes; xhat gets weight dy, and
    `to_x` leads that back to x.
    """
    shape = [1 if axis in shared else side for axis, side in enumerate(xhat.shape)]
    scale = np.ones(shape) if weight is None else weight.reshape(shape)
    y = scale * xhat + (0.0 if bias is None else bias.reshape(shape))

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        (dx,) = to_x(dy * scale)
        return dx, (dy * xhat).sum(axis=shared), dy.sum(axis=shared)

    return y, backward


def all_but_channels(x: Array) -> tuple[int, ...]:
    """The axes of x (N, C, ...) that are not the channels."""
    return tuple(axis for axis in range(x.ndim) if axis != 1)
