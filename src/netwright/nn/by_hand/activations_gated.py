"""Activations y = x gate(x), the gate rising from 0 to 1: the product rule gives their slope."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._pointwise import pointwise
from netwright.nn.by_hand.activations_saturating import logistic


@BY_HAND.register("silu", paper="Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017")
def silu(x: Array) -> tuple[Array, Backward]:
    """SiLU (Swish): y = x s with s = sigmoid(x).

    Backward, by the product rule with s' = s (1 - s):

        dx = dy (s + x s (1 - s))

    The slope is 1/2 at 0, 0 near x = -1.28, negative below, and up to 1.1 above.

    >>> y, backward = silu(np.array([0.0, np.log(3.0)]))
    >>> y.round(4), backward(np.array([1.0, 1.0]))[0].round(4)  # 0.75 + log 3 0.1875
    (array([0.   , 0.824]), array([0.5  , 0.956]))
    """
    gate = logistic(x)
    return pointwise(x * gate, gate + x * gate * (1 - gate))


@BY_HAND.register("gelu", paper="Hendrycks & Gimpel 2016, Gaussian error linear units, sec. 2")
def gelu(x: Array, *, approximate: Literal["none", "tanh"] = "none") -> tuple[Array, Backward]:
    """GELU: y = x P(x), with P(x) = (1 + erf(x / sqrt 2)) / 2 the normal distribution function.

    Backward, by the product rule; P' is the normal density p(x) = exp(-x^2 / 2) / sqrt(2 pi):

        dx = dy (P(x) + x p(x))

    `approximate="tanh"` is the paper's other formula, another function that is at most 5e-4 away:
    with u = sqrt(2 / pi) (x + 0.044715 x^3), y = x (1 + tanh u) / 2 and

        dx = dy ((1 + tanh u) / 2 + x (1 - tanh^2 u) / 2 sqrt(2 / pi) (1 + 3 0.044715 x^2))

    Weights want the form they were trained with.

    >>> y, backward = gelu(np.array([0.0, 1.0]))
    >>> y.round(4), backward(np.array([1.0, 1.0]))[0].round(4)
    (array([0.    , 0.8413]), array([0.5   , 1.0833]))
    """
    if approximate == "none":
        below = (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return pointwise(x * below, below + x * density)
    if approximate != "tanh":
        raise SettingError(
            "approximate: {approximate} is not allowed. It is none or tanh.",
            approximate=approximate,
        )
    root = math.sqrt(2 / math.pi)
    gate = np.tanh(root * (x + 0.044715 * x**3))
    inner = root * (1 + 3 * 0.044715 * x**2)
    return pointwise(x * (1 + gate) / 2, (1 + gate + x * (1 - gate**2) * inner) / 2)


@BY_HAND.register("mish", paper="Misra 2019, Mish")
def mish(x: Array) -> tuple[Array, Backward]:
    """Mish: y = x t with t = tanh(softplus(x)).

    Backward, by the product rule and the chain rule; tanh' is 1 - t^2, softplus' is sigmoid:

        dx = dy (t + x (1 - t^2) sigmoid(x))

    >>> y, backward = mish(np.array([0.0]))
    >>> y, backward(np.array([1.0]))[0]  # softplus(0) = log 2, tanh(log 2) = 0.6
    (array([0.]), array([0.6]))
    """
    gate = np.tanh(np.logaddexp(0.0, x))
    return pointwise(x * gate, gate + x * (1 - gate**2) * logistic(x))
