"""Steps divided by the root of squared gradients: summed for ever, or forgotten again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netwright.optim.by_hand import RULES, Array, descent_direction


class Sum(NamedTuple):
    """AdaGrad's memory: the number of steps, and the sum of squares."""

    steps: int
    h: Array


class Mean(NamedTuple):
    """RMSProp's memory: mean square, mean gradient, velocity."""

    h: Array
    mean: Array
    v: Array


class Units(NamedTuple):
    """Adadelta's memory: the mean squares of gradients and of steps."""

    h: Array
    u: Array


@RULES.register(
    "adagrad",
    paper="Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning, sec. 1.1",
)
def adagrad(
    w: Array, g: Array, state: Sum | None = None, *, lr: float = 0.01, start: float = 0.0,
    eps: float = 1e-10, lr_decay: float = 0.0, wd: float = 0.0, maximize: bool = False,
) -> tuple[Array, Sum]:  # fmt: skip
    """AdaGrad: h = h + g^2; w = w - lr g / (sqrt(h) + eps).

    h begins at `start`. With `lr_decay` the rate of step t = 1, 2, ... is lr / (1 + (t - 1)
    lr_decay), besides all else.

    Derivation: of all fixed metrics H, steps H^-1 g have the least bound on the regret of online
    learning for H = sqrt(sum of g g^T), known only afterwards; using what is known so far costs a
    constant factor. sqrt(h) is its diagonal: weights with rare or small gradients make larger
    steps.

    What goes wrong: it *divides* by the root of the *sum of squares*, neither a mean nor a
    variance; h only grows, and under gradients of one size the steps fall as lr / sqrt(t).

    >>> import numpy as np
    >>> w, state = adagrad(np.array([1.0]), np.array([4.0]), lr=0.1)
    >>> w, adagrad(w, np.array([3.0]), state, lr=0.1)[0]  # 4 / sqrt(16), 3 / sqrt(16 + 9)
    (array([0.9]), array([0.84]))
    """
    steps, h = state or Sum(0, np.full(w.shape, start))
    g = descent_direction(w, g, wd, maximize)
    h = h + g * g
    return w - lr / (1 + steps * lr_decay) * g / (np.sqrt(h) + eps), Sum(steps + 1, h)


@RULES.register(
    "rmsprop",
    paper="Tieleman & Hinton 2012, Lecture 6.5; centered: Graves 2013, Generating sequences with "
    "recurrent neural networks, eq. 38 to 41",
)
def rmsprop(
    w: Array, g: Array, state: Mean | None = None, *, lr: float = 1e-3, rho: float = 0.99,
    momentum: float = 0.0, centered: bool = False, eps: float = 1e-8, wd: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Mean]:  # fmt: skip
    """RMSProp: h = rho h + (1 - rho) g^2; w = w - lr g / (sqrt(h) + eps).

    With momentum v = momentum v + g / (sqrt(h) + eps) and w = w - lr v. With `centered` the root is
    of h - m^2, m = rho m + (1 - rho) g: the spread of the gradient in place of its size. h, m and v
    begin at 0.

    Derivation: dividing g by its own size leaves the sign, a step that no scale of the loss can
    change. In small batches this fails, for nine gradients of 0.1 and one of -0.9 would be eight
    steps to one side; dividing all of them by the same number keeps their sum 0. The number is a
    moving average, so that, unlike AdaGrad's sum, it forgets what it was.

    What goes wrong: h begins at 0 and is not corrected: h_1 = (1 - rho) g^2, so the first step is
    lr / sqrt(1 - rho) long, ten times the rate at 0.99. eps stands outside the root.

    >>> import numpy as np
    >>> rmsprop(np.array([1.0]), np.array([5.0]), lr=0.01)[0].round(6)
    array([0.9])
    """
    h, mean, v = state or Mean(*(np.zeros_like(w) for _ in range(3)))
    g = descent_direction(w, g, wd, maximize)
    h = rho * h + (1 - rho) * g * g
    mean = rho * mean + (1 - rho) * g
    v = momentum * v + g / (np.sqrt(h - mean * mean if centered else h) + eps)
    return w - lr * v, Mean(h, mean, v)


@RULES.register("adadelta", paper="Zeiler 2012, ADADELTA, algorithm 1")
def adadelta(
    w: Array, g: Array, state: Units | None = None, *, lr: float = 1.0, rho: float = 0.95,
    eps: float = 1e-6, wd: float = 0.0, maximize: bool = False,
) -> tuple[Array, Units]:  # fmt: skip
    """Adadelta: d = g sqrt(u + eps) / sqrt(h + eps); w = w - lr d.

    h = rho h + (1 - rho) g^2 before d is taken, u = rho u + (1 - rho) d^2 after it, both from 0.

    Derivation: by units. w in metres makes g = dL/dw of loss per metre; a step lr g has loss per
    metre and no metres unless lr brings them, a step of AdaGrad has no unit at all. Newton's step
    g / L'' is right: (1/m) / (1/m^2) = m. Since d = g / L'', 1 / L'' is d / g, and both are taken
    from their running sizes: step = (size of the last steps) / (size of the gradients) g.

    What goes wrong: u begins at 0, so eps alone gets it going: the first step is
    sqrt(eps / (1 - rho)) long, 0.0045. Here eps stands inside both roots.

    >>> import numpy as np
    >>> adadelta(np.array([1.0]), np.array([5.0]))[0].round(4)
    array([0.9955])
    """
    h, u = state or Units(np.zeros_like(w), np.zeros_like(w))
    g = descent_direction(w, g, wd, maximize)
    h = rho * h + (1 - rho) * g * g
    d = g * np.sqrt(u + eps) / np.sqrt(h + eps)
    return w - lr * d, Units(h, rho * u + (1 - rho) * d * d)
