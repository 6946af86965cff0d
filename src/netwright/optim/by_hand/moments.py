"""Adam's family: a running mean of the gradient over the root of a running mean of its square."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netwright.optim.by_hand import RULES, Array, descent_direction


class Moments(NamedTuple):
    """Steps made, the running means of g and g^2, and the largest of the latter so far."""

    steps: int
    m: Array
    v: Array
    largest: Array


class Nesterov(NamedTuple):
    """Steps made, the running means of g and g^2, and the product of all momenta so far."""

    steps: int
    m: Array
    v: Array
    product: float


@RULES.register(
    "adam", paper="Kingma & Ba 2015, Adam, algorithm 1; amsgrad: Reddi, Kale & Kumar 2018"
)
def adam(
    w: Array, g: Array, state: Moments | None = None, *, lr: float = 1e-3, beta1: float = 0.9,
    beta2: float = 0.999, eps: float = 1e-8, amsgrad: bool = False, wd: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Moments]:  # fmt: skip
    """Adam: w = w - lr m' / (sqrt(v') + eps), running means freed of their start at zero.

        m = beta1 m + (1 - beta1) g        m' = m / (1 - beta1^t)
        v = beta2 v + (1 - beta2) g^2      v' = v / (1 - beta2^t)

    t counts steps from 1; m and v begin at 0. `amsgrad` takes the largest v so far for v.

    Derivation of the correction (sec. 3): unrolled, m_t = (1 - beta1) sum_i beta1^(t-i) g_i. The
    weights of this sum add up to 1 - beta1^t and not to 1, for the rest of the weight is on the
    zero it began with. If all g_i have the same expectation, E[m_t] = (1 - beta1^t) E[g]; dividing
    makes it E[g]. v likewise. What is corrected are the two moments, not the settings.

    At t = 1 m' = g and v' = g^2: the first step is lr long whatever the size of g. Uncorrected it
    would be lr (1 - beta1) / sqrt(1 - beta2) = 3.16 lr, and larger in the steps that follow.

    What goes wrong: decay by `wd` is added to g and is divided by the same root, so weights with
    large gradients are hardly decayed: `adamw`. eps stands outside the root, after the correction.
    The paper of amsgrad corrects nothing; torch corrects m, and the maximum of v.

    >>> import numpy as np
    >>> adam(np.array([1.0, 1.0]), np.array([5.0, -1e-3]), lr=0.01)[0].round(6)
    array([0.99, 1.01])
    """
    return _adam(w, descent_direction(w, g, wd, maximize), state, lr, beta1, beta2, eps, amsgrad)


@RULES.register(
    "adamw", paper="Loshchilov & Hutter 2019, Decoupled weight decay regularization, alg. 2"
)
def adamw(
    w: Array, g: Array, state: Moments | None = None, *, lr: float = 1e-3, beta1: float = 0.9,
    beta2: float = 0.999, eps: float = 1e-8, amsgrad: bool = False, wd: float = 0.01,
    maximize: bool = False,
) -> tuple[Array, Moments]:  # fmt: skip
    """AdamW: w = (1 - lr wd) w, then Adam's step with g as it is.

    Derivation: wd / 2 |w|^2 in the loss adds wd w to g. Plain descent then takes lr wd w off w:
    there decay and penalty are one thing. Adam divides the sum by the root of its squares, so of
    the decay only wd w / sqrt(v) is left, and it goes through m as well. Taken off w directly every
    weight shrinks by the same share.

    What goes wrong: the share is lr wd, so a schedule that lowers lr lowers the decay with it
    (torch's and this form; the paper has a factor of its own for the schedule), and `wd` is not the
    wd of `sgd`.

    >>> import numpy as np
    >>> adamw(np.array([1.0]), np.array([5.0]), lr=0.01, wd=0.5)[0].round(6)  # 0.995 - 0.01
    array([0.985])
    """
    shrunk = (1 - lr * wd) * w
    return _adam(
        shrunk, descent_direction(w, g, 0.0, maximize), state, lr, beta1, beta2, eps, amsgrad
    )


def _adam(
    w: Array, g: Array, state: Moments | None, lr: float, beta1: float, beta2: float, eps: float,
    amsgrad: bool,
) -> tuple[Array, Moments]:  # fmt: skip
    t, m, v, largest = state or Moments(0, *(np.zeros_like(w) for _ in range(3)))
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    largest = np.maximum(largest, v)
    mean = m / (1 - beta1**t)
    square = (largest if amsgrad else v) / (1 - beta2**t)
    return w - lr * mean / (np.sqrt(square) + eps), Moments(t, m, v, largest)


@RULES.register("nadam", paper="Dozat 2016, Incorporating Nesterov momentum into Adam, algorithm 2")
def nadam(
    w: Array, g: Array, state: Nesterov | None = None, *, lr: float = 2e-3, beta1: float = 0.9,
    beta2: float = 0.999, eps: float = 1e-8, rise: float = 0.004, decoupled: bool = False,
    wd: float = 0.0, maximize: bool = False,
) -> tuple[Array, Nesterov]:  # fmt: skip
    """NAdam: w = w - lr (c1 g + c2 m) / (sqrt(v') + eps).

        mu_t = beta1 (1 - 0.96^(t rise) / 2)        P_t = mu_1 mu_2 ... mu_t
        c1 = (1 - mu_t) / (1 - P_t)                 c2 = mu_(t+1) / (1 - P_(t+1))

    m, v and v' as in `adam`; momentum mu rises from about half of beta1 to beta1. With `decoupled`
    the decay is that of `adamw`.

    Derivation: with a constant mu, Adam's step along m_t is mu m_(t-1) + (1 - mu) g: the last
    momentum, and the present gradient. Nesterov's trick, as in `sgd`, is to apply the momentum that
    the *next* step would: m_(t-1) gives way to m_t, so mu_(t+1) m_t + (1 - mu_t) g. Each of the two
    has its own correction for the start at 0, for each carries another product of momenta.

    What goes wrong: m itself is averaged with beta1, mu only weighs it; and half the momentum in
    the first hundreds of steps makes short runs another method.

    >>> import numpy as np
    >>> nadam(np.array([1.0]), np.array([5.0]), lr=0.01)[0].round(4)
    array([0.9894])
    """
    t, m, v, product = state or Nesterov(0, np.zeros_like(w), np.zeros_like(w), 1.0)
    t = t + 1
    g = descent_direction(w, g, 0.0 if decoupled else wd, maximize)
    w = (1 - lr * wd) * w if decoupled else w
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    mu, mu_next = (beta1 * (1 - 0.96 ** (each * rise) / 2) for each in (t, t + 1))
    product = product * mu
    step = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * m
    return w - lr * step / (np.sqrt(v / (1 - beta2**t)) + eps), Nesterov(t, m, v, product)
