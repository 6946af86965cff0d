"""Softmax and its logarithm: logits become a distribution over the classes."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward


@BY_HAND.register(
    "softmax",
    paper="Bridle 1990, Probabilistic interpretation of feedforward classification network outputs",
)
def softmax(x: Array, *, dim: int = 1) -> tuple[Array, Backward]:
    """Softmax: y_c = exp(x_c) / sum_k exp(x_k), along the axis `dim`.

    y is like x, above 0 and of sum 1 along `dim`. A number added to all x_c cancels; taking off the
    largest keeps exp from overflowing and changes nothing.

    Backward: x_k stands in every y_c, through the sum. d log y_c / dx_k = delta_ck - y_k, so

        dy_c / dx_k = y_c (delta_ck - y_k)

        dx_k = sum_c dy_c y_c (delta_ck - y_k) = y_k (dy_k - sum_c dy_c y_c)

    dx sums to 0 along `dim`. Where one y is nearly 1 all of dx is nearly 0: a loss that takes y as
    it is (squared error) cannot correct an answer that is surely wrong.

    >>> y, backward = softmax(np.array([[0.0, np.log(3.0)]]))
    >>> y, backward(np.array([[1.0, 0.0]]))[0]
    (array([[0.25, 0.75]]), array([[ 0.1875, -0.1875]]))
    """
    powers = np.exp(x - x.max(axis=dim, keepdims=True))
    y = powers / powers.sum(axis=dim, keepdims=True)

    def backward(dy: Array) -> tuple[Array]:
        return (y * (dy - (dy * y).sum(axis=dim, keepdims=True)),)

    return y, backward


@BY_HAND.register("log_softmax", paper="Bridle 1990")
def log_softmax(x: Array, *, dim: int = 1) -> tuple[Array, Backward]:
    """The logarithm of softmax: y_c = x_c - log sum_k exp(x_k), along the axis `dim`.

    Written so it never takes the logarithm of 0, which log(softmax(x)) does as soon as a logit is
    746 below the largest.

    Backward: dy_c / dx_k = delta_ck - p_k with p = softmax(x), so

        dx_k = dy_k - p_k sum_c dy_c

    Applied to its own output it changes nothing, for the exponentials sum to 1 already.

    >>> y, backward = log_softmax(np.array([[0.0, -1000.0]]))
    >>> y, backward(np.array([[0.0, 1.0]]))[0]
    (array([[    0., -1000.]]), array([[-1.,  1.]]))
    """
    shifted = x - x.max(axis=dim, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))

    def backward(dy: Array) -> tuple[Array]:
        return (dy - np.exp(y) * dy.sum(axis=dim, keepdims=True),)

    return y, backward
