"""The fully connected layer: every output a weighted sum of all inputs."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward


@BY_HAND.register("linear", paper="Rumelhart, Hinton & Williams 1986")
def linear(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Backward]:
    """Linear layer: y = x W^T + b.

    x (..., in), weight (out, in), bias (out,); y is (..., out). Each row of the weight makes one
    output: y_o = sum_i W_oi x_i + b_o.

    Backward: x_i meets every output through W_oi, W_oi meets y_o of every sample through x_i, and
    b_o meets it with factor 1, so

        dx_i  = sum_o dy_o W_oi              dx = dy W
        dW_oi = sum over samples dy_o x_i    dW = dy^T x
        db_o  = sum over samples dy_o

    What goes wrong: the loss is usually a mean over the samples, so dy holds the 1/N already; the
    sums here are sums. dx needs the weights and dW the inputs: the second is why activations are
    kept. A small dx beside a large dW is no contradiction: one factor of each product may shrink
    while the other grows.

    >>> x, w = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    >>> y, backward = linear(x, w)
    >>> y
    array([[11., 17., 23.]])
    >>> dx, dw, db = backward(np.array([[1.0, 0.0, -1.0]]))
    >>> dx, db  # row 0 less row 2
    (array([[-4., -4.]]), array([ 1.,  0., -1.]))
    >>> dw
    array([[ 1.,  2.],
           [ 0.,  0.],
           [-1., -2.]])
    """
    y = x @ weight.T + (0.0 if bias is None else bias)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        rows, inputs = dy.reshape(-1, weight.shape[0]), x.reshape(-1, weight.shape[1])
        return dy @ weight, rows.T @ inputs, rows.sum(axis=0)

    return np.asarray(y), backward
