"""Numeric derivatives: a slow answer that needs no derivation, to check the others with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from netwright.nn.by_hand import Array


def numeric_gradients(
    forward: Callable[..., Array], arrays: Sequence[Array], dy: Array, *, step: float = 1e-5
) -> tuple[Array, ...]:
    """dL/d(array) for each of `arrays` by central differences, L = sum of dy forward(*arrays).

        dL/dx_i = (L(x_i + h) - L(x_i - h)) / (2 h) + O(h^2)

    L makes one number of the output, with dL/dy = dy: what a backward pass is given. Each entry
    costs two forward passes, so all of them cost 2 n where backpropagation costs about two.

    The error is a sum of two: h^2 / 6 times the third derivative, and rounding, about 1e-16 L / h.
    The best h is near the cube root of the machine's epsilon, 1e-5 in float64; a forward difference
    (L(x + h) - L(x)) / h is only O(h). In float32 nothing below 1e-2 is of use. At a kink (ReLU at
    0, two equal maxima) it finds the mean of both slopes, which no backward pass gives.

    Source: Press et al. 2007, Numerical recipes, sec. 5.7.

    >>> x = np.array([1.0, 2.0])
    >>> numeric_gradients(lambda x: x**2, [x], np.array([1.0, 10.0]))[0].round(6)  # dy 2 x
    array([ 2., 40.])
    """
    inputs = [each.astype(np.float64) for each in arrays]
    gradients = []
    for x in inputs:
        gradient = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            old = x[place]
            sides = []
            for moved in (old + step, old - step):
                x[place] = moved
                sides.append(float((dy * forward(*inputs)).sum()))
            x[place] = old
            gradient[place] = (sides[0] - sides[1]) / (2 * step)
        gradients.append(gradient)
    return tuple(gradients)
