"""Activations by formula: value, slope, range, and what they do to a normal signal.

Names and default parameters are torch's. Means over a normal signal are integrals, taken by
Simpson's rule: E[g(s z)] with z standard normal.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from netwright.core.errors import UnknownNameError

_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU
_MOST = 700.0  # exp of more is no float
INF = math.inf


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation: its `value` and `slope` at x, its least and largest value (`closed`: whether
    each is reached), and what `torch.nn.init.calculate_gain` gives, None where it knows none."""

    value: Callable[[float], float]
    slope: Callable[[float], float]
    range: tuple[float, float]
    closed: tuple[bool, bool] = (False, False)
    formula: str
    gain: str | None = None
    """The formula of the gain, of the negative slope a where that matters."""


def activation_facts(name: str, negative_slope: float = 0.01) -> Activation:
    """The activation called `name`; `negative_slope` is that of `leaky_relu` and `prelu`.

    >>> activation_facts("sigmoid").slope(0.0)
    0.25
    """
    if name in ("leaky_relu", "prelu"):
        return _leaky(negative_slope)
    if name not in _KNOWN:
        raise UnknownNameError("activation", name, NAMES)
    return _KNOWN[name]


def steepest(name: str, negative_slope: float = 0.01) -> tuple[float, float]:
    """The largest slope, and an x where it is (the least of a search over -8 to 8).

    >>> [round(each, 3) for each in steepest("gelu")]  # at the root of 2
    [1.129, 1.414]
    """
    slope = activation_facts(name, negative_slope).slope
    grid = [each / 64 for each in range(-512, 513)]
    near = max(grid, key=slope)
    low, high = near - 1 / 64, near + 1 / 64
    for _ in range(80):  # the maximum of a function with one, between two thirds
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if slope(a) < slope(b) else (low, b)
    found = (low + high) / 2
    return max((slope(found), found), (slope(near), near), key=lambda each: each[0])


@functools.lru_cache(maxsize=4096)
def moments(name: str, spread: float, negative_slope: float = 0.01) -> tuple[float, float, float]:
    """E[f(s z)], E[f(s z)^2] and E[f'(s z)^2] for the standard deviation s.

    >>> [round(each, 4) for each in moments("relu", 1.0)]  # 1/sqrt(2 pi), 1/2, 1/2
    [0.3989, 0.5, 0.5]
    """
    known = activation_facts(name, negative_slope)
    mean = square = slope = 0.0
    for z, weight in _nodes():
        value = known.value(spread * z)
        mean += weight * value
        square += weight * value * value
        slope += weight * known.slope(spread * z) ** 2
    return mean, square, slope


def keeping_gain(name: str, negative_slope: float = 0.01) -> float | None:
    """The g for which E[f(g z)^2] = 1, so that the mean square of the signal stays (He et al.
    2015, eq. 10, for any activation); None where none does, as its outputs are too small.

    >>> round(keeping_gain("relu"), 4), keeping_gain("tanh")
    (1.4142, None)
    """
    low, high = 1e-3, 1e3
    if not moments(name, low, negative_slope)[1] < 1 < moments(name, high, negative_slope)[1]:
        return None
    for _ in range(50):
        middle = math.sqrt(low * high)
        if moments(name, middle, negative_slope)[1] < 1:
            low = middle
        else:
            high = middle
    return low


@functools.cache
def _nodes() -> tuple[tuple[float, float], ...]:
    """z and the weight of each in the mean: dense around 0, where a wide signal meets a kink."""
    panels, reach, crowding = 2048, 9.0, 10.0
    found = []
    for n in range(panels + 1):
        t = 2 * n / panels - 1
        z = reach * math.sinh(crowding * t) / math.sinh(crowding)
        step = reach * crowding * math.cosh(crowding * t) / math.sinh(crowding)
        simpson = 1 if n in (0, panels) else 4 if n % 2 else 2
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        found.append((z, simpson * (2 / panels) / 3 * step * density))
    return tuple(found)


def _sigmoid(x: float) -> float:
    return (
        1 / (1 + math.exp(-x))
        if x >= 0
        else math.exp(max(x, -_MOST)) / (1 + math.exp(max(x, -_MOST)))
    )


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _expm1(x: float) -> float:
    return math.expm1(max(x, -_MOST))


def _normal(x: float) -> float:
    """P(z < x)."""
    return math.erfc(-x / math.sqrt(2)) / 2


def _density(x: float) -> float:
    return math.exp(-min(x * x / 2, _MOST)) / math.sqrt(2 * math.pi)


def _mish_slope(x: float) -> float:
    t = math.tanh(_softplus(x))
    return t + x * (1 - t * t) * _sigmoid(x)


def _leaky(a: float) -> Activation:
    return Activation(
        value=lambda x: x if x > 0 else a * x,
        slope=lambda x: 1.0 if x > 0 else a,
        range=(-INF, INF) if a > 0 else (0.0, INF),
        closed=(a == 0, False),
        formula="x above 0, a x below",
        gain="(2 / (1 + a**2))**(1/2)",
    )


_KNOWN: dict[str, Activation] = {
    "linear": Activation(
        value=lambda x: x, slope=lambda x: 1.0, range=(-INF, INF), formula="x", gain="1"
    ),
    "relu": Activation(
        value=lambda x: max(x, 0.0),
        slope=lambda x: 1.0 if x > 0 else 0.0,
        range=(0.0, INF),
        closed=(True, False),
        formula="max(0, x)",
        gain="2**(1/2)",
    ),
    "relu6": Activation(
        value=lambda x: min(max(x, 0.0), 6.0),
        slope=lambda x: 1.0 if 0 < x < 6 else 0.0,
        range=(0.0, 6.0),
        closed=(True, True),
        formula="min(max(0, x), 6)",
    ),
    "elu": Activation(
        value=lambda x: x if x > 0 else _expm1(x),
        slope=lambda x: 1.0 if x > 0 else math.exp(max(x, -_MOST)),
        range=(-1.0, INF),
        formula="x above 0, exp(x) - 1 below",
    ),
    "selu": Activation(
        value=lambda x: _SCALE * (x if x > 0 else _ALPHA * _expm1(x)),
        slope=lambda x: _SCALE * (1.0 if x > 0 else _ALPHA * math.exp(max(x, -_MOST))),
        range=(-_SCALE * _ALPHA, INF),
        formula="1.0507 x above 0, 1.7581 (exp(x) - 1) below",
        gain="3 / 4",
    ),
    "gelu": Activation(
        value=lambda x: x * _normal(x),
        slope=lambda x: _normal(x) + x * _density(x),
        range=(-0.16997120747990369, INF),
        closed=(True, False),
        formula="x P(z < x)",
    ),
    "silu": Activation(
        value=lambda x: x * _sigmoid(x),
        slope=lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        range=(-0.27846454276107377, INF),
        closed=(True, False),
        formula="x sigmoid(x)",
    ),
    "mish": Activation(
        value=lambda x: x * math.tanh(_softplus(x)),
        slope=_mish_slope,
        range=(-0.3088434130172504, INF),
        closed=(True, False),
        formula="x tanh(log(1 + exp(x)))",
    ),
    "hardswish": Activation(
        value=lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
        slope=lambda x: 0.0 if x <= -3 else 1.0 if x > 3 else (2 * x + 3) / 6,
        range=(-0.375, INF),
        closed=(True, False),
        formula="x min(max(0, x + 3), 6) / 6",
    ),
    "softplus": Activation(
        value=_softplus, slope=_sigmoid, range=(0.0, INF), formula="log(1 + exp(x))"
    ),
    "tanh": Activation(
        value=math.tanh,
        slope=lambda x: 1 - math.tanh(x) ** 2,
        range=(-1.0, 1.0),
        formula="(exp(x) - exp(-x)) / (exp(x) + exp(-x))",
        gain="5 / 3",
    ),
    "sigmoid": Activation(
        value=_sigmoid,
        slope=lambda x: _sigmoid(x) * _sigmoid(-x),
        range=(0.0, 1.0),
        formula="1 / (1 + exp(-x))",
        gain="1",
    ),
}
NAMES = tuple(sorted([*_KNOWN, "leaky_relu", "prelu"]))
