"""L-BFGS: Newton's direction, with the inverse curvature read off the last few steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from netwright.optim.by_hand import RULES, Array
from netwright.optim.by_hand.line_search import Point, strong_wolfe


class Steps(NamedTuple):
    """The last step and the gradient it began at, and the pairs (s, y) before it, oldest first."""

    step: Array
    gradient: Array
    pairs: tuple[tuple[Array, Array], ...]


@RULES.register(
    "lbfgs",
    paper="Nocedal 1980, Updating quasi-Newton matrices with limited storage; Liu & Nocedal 1989, "
    "On the limited memory BFGS method; Nocedal & Wright 2006, Numerical optimization, alg. 7.4",
)
def lbfgs(
    w: Array, loss_and_gradient: Callable[[Array], tuple[float, Array]],
    state: Steps | None = None, *, lr: float = 1.0, iterations: int = 4, history: int = 10,
    search: bool = True, wd: float = 0.0,
) -> tuple[Array, Steps | None]:  # fmt: skip
    """L-BFGS: w = w - t H g, with H the inverse curvature that the last steps suggest.

    `loss_and_gradient(w)` answers (loss, gradient) at any w, of the same batch; one step takes up
    to `iterations` directions. t is found by `strong_wolfe` from lr on, or is lr without `search`.
    The first direction is -g, as nothing is known yet, of length lr min(1, 1 / sum |g|).

    Derivation: a step s changes the gradient by y, and for a quadratic loss y = B s with B its
    curvature (Hessian). H = B^-1 must therefore turn y into s: the secant condition. Of all
    symmetric H that do, BFGS takes the one nearest to the last:

        H+ = (1 - r s y^T) H (1 - r y s^T) + r s s^T,    r = 1 / (y.s)

    With y.s > 0 it stays positive, so -H g leads down. L-BFGS never writes H down: it keeps the
    last `history` pairs and applies the formula to g from the newest pair to the oldest and back
    (`inverse_curvature_times`).

    What goes wrong: y is the difference of two gradients; from different batches, or with other
    dropout masks, it is mostly noise. `wd` adds wd / 2 |w|^2 to the loss and wd w to the gradient,
    so that the search sees one function. Its stops (1e-7 on the gradient, 1e-9 on step and loss)
    and limit of 10 evaluations an iteration are those of `optim=lbfgs`.

    >>> import numpy as np
    >>> bowl = lambda w: (float(((w - 1) ** 2).sum()), 2 * (w - 1))
    >>> lbfgs(np.array([3.0]), bowl)[0].round(6)
    array([1.])
    """

    def objective(at: Array) -> tuple[float, Array]:
        loss, gradient = loss_and_gradient(at)
        return loss + wd / 2 * float((at * at).sum()), gradient + wd * at

    loss, g = objective(w)
    left = 10 * iterations - 1
    for iteration in range(iterations):
        if np.abs(g).max() <= 1e-7:
            break
        pairs = _remembered(state, g, history)
        d = -inverse_curvature_times(g, pairs)
        length = lr if state else lr * min(1.0, 1 / float(np.abs(g).sum()))
        slope = float((g * d).sum())
        if slope > -1e-9:
            break
        start, before = Point(0.0, loss, g, slope), w
        if search:

            def along(t: float, w: Array = before, d: Array = d) -> Point:
                value, gradient = objective(w + t * d)
                return Point(t, value, gradient, float((gradient * d).sum()))

            reach = float(np.abs(d).max())
            end, spent = strong_wolfe(along, start, length, reach=reach, evaluations=left)
            length, loss, g = end.t, end.value, end.gradient
            left -= spent
        w = before + length * d
        state = Steps(length * d, start.gradient, pairs)
        if not search and iteration < iterations - 1:
            loss, g = objective(w)
            left -= 1
        moved = float(np.abs(state.step).max())
        if left <= 0 or moved <= 1e-9 or abs(loss - start.value) < 1e-9:
            break
    return w, state


def inverse_curvature_times(g: Array, pairs: tuple[tuple[Array, Array], ...]) -> Array:
    """H g by the two loops (Nocedal & Wright 2006, algorithm 7.4), in 4 history n multiplications.

    H+ g = V^T H V g + r s (s.g) with V = 1 - r y s^T: the first loop multiplies by the V of each
    pair, newest first; then comes the H that all began with, (s.y) / (y.y) of the newest pair times
    the identity, which has the right size along s; the second loop goes back.

    >>> s, y = np.array([1.0, 0.0]), np.array([4.0, 0.0])  # a curvature of 4 along the first axis
    >>> inverse_curvature_times(np.array([8.0, 8.0]), ((s, y),))
    array([2., 2.])
    """
    q, shares = g, []
    for s, y in reversed(pairs):
        share = float((s * q).sum()) / float((y * s).sum())
        shares.append(share)
        q = q - share * y
    if pairs:
        s, y = pairs[-1]
        q = q * (float((y * s).sum()) / float((y * y).sum()))
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        q = q + s * (share - float((y * q).sum()) / float((y * s).sum()))
    return q


def _remembered(state: Steps | None, g: Array, history: int) -> tuple[tuple[Array, Array], ...]:
    """The pairs with that of the last step, unless the curvature along it was not positive."""
    if state is None:
        return ()
    y = g - state.gradient
    if float((y * state.step).sum()) <= 1e-10:
        return state.pairs
    return (*state.pairs, (state.step, y))[-history:]
