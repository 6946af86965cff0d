"""Activations that level off: where they are flat, hardly any gradient comes back."""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._pointwise import pointwise


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), with no exponential of a large number: exp(x) / (1 + exp(x)) below 0."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1 + small)


@BY_HAND.register("sigmoid", paper="Cox 1958; Rumelhart, Hinton & Williams 1986")
def sigmoid(x: Array) -> tuple[Array, Backward]:
    """Sigmoid: y = 1 / (1 + exp(-x)).

    Backward: y' = exp(-x) / (1 + exp(-x))^2 = y (1 - y), for 1 - y = exp(-x) / (1 + exp(-x)):

        dx = dy y (1 - y)

    Only the output has to be kept. y (1 - y) is at most 1/4, at x = 0, and below 0.01 beyond
    |x| = 4.6: each layer makes the gradient at least four times smaller.

    >>> y, backward = sigmoid(np.array([0.0, np.log(3.0)]))
    >>> y, backward(np.array([1.0, 1.0]))[0]
    (array([0.5 , 0.75]), array([0.25  , 0.1875]))
    """
    y = logistic(x)
    return pointwise(y, y * (1 - y))


@BY_HAND.register("tanh", paper="LeCun, Bottou, Orr & Mueller 1998, Efficient backprop")
def tanh(x: Array) -> tuple[Array, Backward]:
    """tanh: y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    Backward: it is sinh / cosh, whose derivative is (cosh^2 - sinh^2) / cosh^2 = 1 - y^2, so

        dx = dy (1 - y^2)

    and only the output has to be kept. tanh(x) = 2 sigmoid(2 x) - 1.

    >>> y, backward = tanh(np.array([0.0, np.log(2.0)]))
    >>> y, backward(np.array([1.0, 1.0]))[0]
    (array([0. , 0.6]), array([1.  , 0.64]))
    """
    y = np.tanh(x)
    return pointwise(y, 1 - y * y)


@BY_HAND.register("softplus", paper="Dugas, Bengio, Belisle, Nadeau & Garcia 2001")
def softplus(x: Array) -> tuple[Array, Backward]:
    """Softplus: y = log(1 + exp(x)), without overflow: max(0, x) + log(1 + exp(-|x|)).

    Backward: y' = exp(x) / (1 + exp(x)) = sigmoid(x), so dx = dy sigmoid(x). It is the integral of
    the sigmoid, as ReLU is that of the step. torch takes y = x above 20, which is 2e-9 away.

    >>> y, backward = softplus(np.array([0.0, 1000.0]))
    >>> y.round(4), backward(np.array([1.0, 1.0]))[0]
    (array([6.931e-01, 1.000e+03]), array([0.5, 1. ]))
    """
    return pointwise(np.logaddexp(0.0, x), logistic(x))


@BY_HAND.register("elu", paper="Clevert, Unterthiner & Hochreiter 2016, sec. 3")
def elu(x: Array, *, alpha: float = 1.0) -> tuple[Array, Backward]:
    """ELU: y = x above 0, alpha (exp(x) - 1) below.

    Backward: the slope is 1 above 0 and alpha exp(x) = y + alpha below, so that the output is
    enough. Both sides meet with slope 1 at 0 if alpha is 1; otherwise there is a kink, where torch
    takes the lower side's. Far below 0 it is flat, as leaky ReLU is not.

    >>> y, backward = elu(np.array([-np.log(2.0), 3.0]))
    >>> y, backward(np.array([1.0, 1.0]))[0]
    (array([-0.5,  3. ]), array([0.5, 1. ]))
    """
    y = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    return pointwise(y, np.where(x > 0, 1.0, y + alpha))


@BY_HAND.register(
    "selu", paper="Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks"
)
def selu(x: Array) -> tuple[Array, Backward]:
    """SELU: y = s ELU(x) with alpha = 1.6733 and s = 1.0507.

    Backward: dx = dy s ELU'(x). The two numbers solve the equations that a standard normal input
    gives an output of mean 0 and variance 1:

        E[y] = 0 and E[y^2] = 1 for x ~ N(0, 1)

    >>> y, backward = selu(np.array([-np.log(2.0), 1.0]))
    >>> y.round(4), backward(np.array([1.0, 1.0]))[0].round(4)
    (array([-0.879 ,  1.0507]), array([0.879 , 1.0507]))
    """
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    y, backward = elu(x, alpha=alpha)
    return scale * y, lambda dy: backward(scale * dy)
