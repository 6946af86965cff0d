"""Dropout: units are left out at random, and the others made up for them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netwright.core.errors import SettingError
from netwright.nn.by_hand import BY_HAND, Array, Backward

Mask: TypeAlias = npt.NDArray[np.bool_]


@BY_HAND.register(
    "dropout",
    paper="Hinton et al. 2012; Srivastava et al. 2014, Dropout, sec. 4; whole maps: "
    "Tompson et al. 2015, Efficient object localization using convolutional networks, sec. 3.2",
)
def dropout(x: Array, keep: Mask | None = None, *, p: float = 0.5) -> tuple[Array, Backward]:
    """Dropout: y = keep x / (1 - p), where `keep` is 1 with probability 1 - p and 0 otherwise.

    x of any shape. `keep` (`draw_keep`) is drawn anew for each step and each sample; of the shape
    of x it drops units, of shape (N, C, 1, 1) whole maps, which is what `dropout2d` does. Without
    `keep` this is evaluation: y = x.

    `p` is the probability to *drop*, as torch has it. E[keep] = 1 - p, so dividing by 1 - p leaves
    the expectation as it is, E[y] = x, and at evaluation nothing is left to do ("inverted"
    dropout). The paper's p is the probability to *keep*; it divides nothing in training and
    multiplies the weights by p afterwards, which is the same for a linear layer behind it.

    Backward: with the mask drawn, y is x times a constant, so the same mask goes over the gradient:

        dx = dy keep / (1 - p)

    What goes wrong: a mask drawn anew for the backward pass is another function's gradient. The
    mean stays and the variance does not: it becomes var + p / (1 - p) (mean^2 + var), which a batch
    norm behind it learns and evaluation then lacks. Raises `SettingError` for p outside 0 to 1.

    >>> keep = np.array([True, False, True, True])
    >>> y, backward = dropout(np.array([1.0, 2.0, 3.0, 4.0]), keep, p=0.5)
    >>> y, backward(np.ones(4))[0]
    (array([2., 0., 6., 8.]), array([2., 0., 2., 2.]))
    """
    if not 0 <= p <= 1:
        raise SettingError("p: {p} is not allowed; the share that is dropped is 0 to 1.", p=p)
    # All is dropped at p = 1, and nothing has to be made up for.
    scale = np.ones(1) if keep is None else keep / (1 - p) if p < 1 else np.zeros(1)

    def backward(dy: Array) -> tuple[Array]:
        return (dy * scale,)

    return x * scale, backward


def draw_keep(rng: np.random.Generator, shape: tuple[int, ...], *, p: float = 0.5) -> Mask:
    """A mask for `dropout`: True with probability 1 - p, each place by itself.

    >>> float(draw_keep(np.random.default_rng(0), (10_000,), p=0.2).mean().round(2))
    0.8
    """
    return rng.random(shape) >= p
