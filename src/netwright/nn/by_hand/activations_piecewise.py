"""Activations of straight pieces: their slope is a constant, or a line, between kinks.

At a kink there is no derivative; any number between the slopes of both sides is a subgradient.
Which one torch takes is said with each.
"""

from __future__ import annotations

import numpy as np

from netwright.nn.by_hand import BY_HAND, Array, Backward
from netwright.nn.by_hand._pointwise import pointwise


@BY_HAND.register("relu", paper="Nair & Hinton 2010; Glorot, Bordes & Bengio 2011")
def relu(x: Array) -> tuple[Array, Backward]:
    """ReLU: y = max(0, x).

    Backward: dx = dy where x > 0, and 0 elsewhere, at the kink x = 0 too. Above 0 it is the
    *slope* that is 1; the value is x. A unit that is below 0 for all data gets no gradient at all.

    >>> y, backward = relu(np.array([-2.0, 0.0, 3.0]))
    >>> y, backward(np.array([10.0, 10.0, 10.0]))[0]
    (array([0., 0., 3.]), array([ 0.,  0., 10.]))
    """
    return pointwise(np.maximum(x, 0.0), np.where(x > 0, 1.0, 0.0))


@BY_HAND.register("leaky_relu", paper="Maas, Hannun & Ng 2013")
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> tuple[Array, Backward]:
    """Leaky ReLU: y = x above 0, negative_slope x below.

    Backward: dx = dy above 0 and negative_slope dy below; at 0 it is the lower side's.

    >>> y, backward = leaky_relu(np.array([-2.0, 3.0]))
    >>> y, backward(np.array([10.0, 10.0]))[0]
    (array([-0.02,  3.  ]), array([ 0.1, 10. ]))
    """
    slope = np.where(x > 0, 1.0, negative_slope)
    return pointwise(slope * x, slope)


@BY_HAND.register(
    "prelu", paper="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, sec. 2.1"
)
def prelu(x: Array, weight: Array) -> tuple[Array, Backward]:
    """PReLU: y = x above 0, a x below, where a is learned.

    x (N, C, ...), weight (1,), one a for all, or (C,), one for each channel.

    Backward: dx = dy above 0 and a dy below. y depends on a through every value below 0 that it
    multiplies, with the slope x there, so da = sum of dy x over all x <= 0 that share it.

    >>> y, backward = prelu(np.array([[-2.0, 3.0, -4.0]]), np.array([0.25]))
    >>> dx, da = backward(np.array([[1.0, 1.0, 10.0]]))
    >>> y, dx, da  # da = -2 - 40
    (array([[-0.5,  3. , -1. ]]), array([[0.25, 1.  , 2.5 ]]), array([-42.]))
    """
    a = weight.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else weight
    slope = np.where(x > 0, 1.0, a)

    def backward(dy: Array) -> tuple[Array, Array]:
        below = np.where(x > 0, 0.0, dy * x)
        if weight.size == 1:
            return dy * slope, below.sum().reshape(weight.shape)
        return dy * slope, below.sum(axis=tuple(axis for axis in range(x.ndim) if axis != 1))

    return slope * x, backward


@BY_HAND.register("relu6", paper="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10")
def relu6(x: Array) -> tuple[Array, Backward]:
    """ReLU6: y = min(max(0, x), 6).

    Backward: dx = dy where 0 < x < 6, and 0 elsewhere, at both kinks too.

    >>> y, backward = relu6(np.array([-2.0, 3.0, 8.0]))
    >>> y, backward(np.ones(3))[0]
    (array([0., 3., 6.]), array([0., 1., 0.]))
    """
    return pointwise(x.clip(0.0, 6.0), np.where((x > 0) & (x < 6), 1.0, 0.0))


@BY_HAND.register("hardswish", paper="Howard et al. 2019, Searching for MobileNetV3, sec. 5.2")
def hardswish(x: Array) -> tuple[Array, Backward]:
    """Hard swish: y = x min(max(0, x + 3), 6) / 6.

    Three pieces: 0 up to -3, x (x + 3) / 6 between, x from 3 on.

    Backward: dx = dy times 0, (2 x + 3) / 6 or 1. The slope jumps at both kinks: from 0 to -1/2 at
    x = -3, where torch takes 0, and from 3/2 to 1 at x = 3, where torch takes 1.

    >>> y, backward = hardswish(np.array([-4.0, 0.0, 4.0]))
    >>> y, backward(np.ones(3))[0]
    (array([-0.,  0.,  4.]), array([0. , 0.5, 1. ]))
    """
    slope = np.where(x <= -3, 0.0, np.where(x < 3, (2 * x + 3) / 6, 1.0))
    return pointwise(x * (x + 3).clip(0.0, 6.0) / 6, slope)
