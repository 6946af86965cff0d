"""Forward and backward of the layers in a few lines of NumPy, each with its derivation.

Every function here has the same shape, that of `jax.vjp`:

    y, backward = conv2d(x, weight, bias, stride=2)
    dx, dweight, dbias = backward(dy)

Arrays come first, settings are keywords, spelled as torch spells them. `y` is the output.
`backward` takes dL/dy, an array of the shape of y, where L is whatever number stands at the end of
the network, and returns a tuple: dL/d(array) for each array with a gradient, in their order, each
of the shape of its array. A weight or bias that is left out counts as ones or zeros; its gradient
comes back all the same. What the backward pass needs of the forward pass is what the inner function
refers to: this is what training keeps in memory and evaluation does not.

All of it is one rule, the chain rule: dL/dx_i = sum over j of dL/dy_j dy_j/dx_i. The matrix
dy_j/dx_i is never written down; each backward pass is the product with its transpose, and passes
are chained from the last layer to the first (Rumelhart, Hinton & Williams 1986; Linnainmaa 1970).

Maps are (N, C, H, W); dx stands for dL/dx. It is meant for float64; nothing is fast, and nothing
needs torch.

>>> import numpy as np
>>> from netwright.nn import by_hand
>>> x = np.array([[1.0, -2.0]])
>>> z, back_linear = by_hand.linear(x, np.array([[3.0, 1.0], [1.0, 1.0]]))
>>> y, back_relu = by_hand.relu(z)
>>> y
array([[1., 0.]])
>>> back_linear(*back_relu(np.array([[1.0, 1.0]])))[0]  # the second unit is off: row 1 alone
array([[3., 1.]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netwright.core.registry import Registry

Array: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.int64]
"""Indices: classes of targets, places of maxima."""

Backward: TypeAlias = Callable[[Array], tuple[Array, ...]]
"""From dL/dy to dL/d(each array), in the order of the arguments."""

BY_HAND: Registry[Callable[..., tuple[Array, Backward]]] = Registry(
    "function by hand", "netwright.nn.by_hand"
)
"""Every function of this package, under the name of torch where torch has it."""


def __getattr__(name: str) -> Any:
    """`by_hand.conv2d` is the function registered as conv2d, whichever file it is in."""
    if not name.startswith("_"):
        for entry in BY_HAND:
            if entry.name == name:
                return entry.target
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *BY_HAND.names()})
