"""Steps against the gradient, with and without memory of the last step."""

from __future__ import annotations

from netwright.optim.by_hand import RULES, Array, descent_direction


@RULES.register("gd", paper="Cauchy 1847, Methode generale pour la resolution des systemes")
def gd(
    w: Array, g: Array, state: None = None, *, lr: float = 0.1, wd: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, None]:  # fmt: skip
    """Gradient descent: w = w - lr g.

    Derivation: near w the loss is L(w) + g.d + L''/2 |d|^2 with a curvature of at most L''. The
    first two terms fall fastest along d = -g (Cauchy-Schwarz); with the third, d = -lr g changes
    the loss by at most lr |g|^2 (lr L''/2 - 1): it falls for lr below 2 / L'' and may grow beyond.

    No state. g is the mean gradient of whatever a step looks at: all images, or a batch (`sgd`).

    >>> import numpy as np
    >>> gd(np.array([1.0]), np.array([2.0]), lr=0.1)[0]
    array([0.8])
    """
    return w - lr * descent_direction(w, g, wd, maximize), None


@RULES.register(
    "sgd",
    paper="Robbins & Monro 1951; Polyak 1964, Some methods of speeding up the convergence; "
    "Nesterov 1983; Sutskever, Martens, Dahl & Hinton 2013, On the importance of initialization "
    "and momentum",
)
def sgd(
    w: Array, g: Array, state: Array | None = None, *, lr: float = 0.1, momentum: float = 0.9,
    dampening: float = 0.0, nesterov: bool = False, wd: float = 0.0, maximize: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """Momentum: v = momentum v + (1 - dampening) g; w = w - lr v.

    The state is v, of the shape of w; the first v is g, undamped.

    Derivation: a ball of velocity v in a valley, slowed by friction: each step keeps the share
    `momentum` of v and adds the force g. Unrolled, v = g_t + momentum g_(t-1) + momentum^2 g_(t-2)
    + ...: directions that agree add up to g / (1 - momentum), directions that alternate cancel.

    Nesterov's method takes the gradient where the momentum is about to lead. Sutskever's form (eq.
    3 and 4, with u the weights and h = -lr v) needs it at the place ahead:

        h = momentum h - lr g(u + momentum h);    u = u + h

    Written for the place ahead itself, w = u + momentum h, the gradient is at w, as an optimizer
    gets it, and with v = momentum v + g the step becomes

        w = w - lr (g + momentum v)

    torch's weights are these w. With a constant rate both are the same path seen from two points.

    What goes wrong: the rate stands outside v, so a change of it acts on all of v at once; Polyak
    and Sutskever have it inside. Decay goes into v too.

    >>> import numpy as np
    >>> w, v = sgd(np.array([1.0]), np.array([1.0]), lr=0.1, nesterov=True)
    >>> w, v  # 1 - 0.1 (1 + 0.9)
    (array([0.81]), array([1.]))
    """
    g = descent_direction(w, g, wd, maximize)
    v = g if state is None else momentum * state + (1 - dampening) * g
    return w - lr * (g + momentum * v if nesterov else v), v
