"""How large a signal is behind n layers of random weights: forward and backward, by formula.

Wide layers act on the mean square alone. With weights of variance v over n inputs the sum before
the activation is normal with variance q' = n v E[f(sqrt(q) z)^2] + (variance of the biases), and
the gradient's mean square is multiplied by m v E[f'(sqrt(q) z)^2], m being the outputs that read a
unit (Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, Exponential expressivity in deep neural
networks through transient chaos; Schoenholz et al. 2017, Deep information propagation). For ReLU
that is He et al. 2015, eq. 10 and 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.arithmetic.activations import keeping_gain, moments

_MOST = 1e100
"""Signals above it, or below its inverse, have left what can be computed with."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Behind one layer: the spread before the activation; mean, spread and root mean square after
    it; what the layer multiplies the signal and, on the way back, the gradient with."""

    before: float
    mean: float
    spread: float
    size: float
    forward: float
    backward: float


def matched_gain(name: str, negative_slope: float = 0.01) -> float:
    """The gain `init=` takes for an activation: the one that keeps the mean square, where there is
    one; 5/3 for tanh, as torch has it, else 1.

    >>> round(matched_gain("relu"), 3), round(matched_gain("tanh"), 3), matched_gain("sigmoid")
    (1.414, 1.667, 1.0)
    """
    if name in ("selu", "linear"):  # SELU is made for 1
        return 1.0
    if name == "tanh":
        return 5 / 3
    kept = keeping_gain(name, negative_slope)
    return 1.0 if kept is None else kept


def weight_variance(
    init: str, fan_in: int, fan_out: int, *, gain: float = 1.0, std: float = 0.01
) -> float:
    """The variance of one weight; `std` is that of `normal`, which asks for no fan.

    `default` is what torch's layers draw: uniform within +-1/sqrt(fan_in).

    >>> weight_variance("he", 50, 50, gain=2**0.5), weight_variance("xavier", 50, 150)
    (0.04000000000000001, 0.01)
    """
    return {
        "he": gain**2 / fan_in,
        "xavier": gain**2 * 2 / (fan_in + fan_out),
        "lecun": 1 / fan_in,
        "orthogonal": gain**2 / max(fan_in, fan_out),
        "default": 1 / (3 * fan_in),
        "normal": std**2,
    }[init]


def through_layers(
    act: str,
    layers: int,
    *,
    fan_in: int,
    fan_out: int,
    variance: float,
    bias_variance: float = 0.0,
    negative_slope: float = 0.01,
) -> list[Depth]:
    """What a signal of mean square 1 becomes behind each of `layers`; fewer, where it leaves the
    numbers that can be computed with.

    >>> behind = through_layers("relu", 3, fan_in=100, fan_out=100, variance=2 / 100)
    >>> [round(each.size, 3) for each in behind]
    [1.0, 1.0, 1.0]
    """
    found: list[Depth] = []
    size = 1.0
    for _ in range(layers):
        before = fan_in * variance * size**2 + bias_variance
        if not _MOST**-2 < before < _MOST**2:
            break
        mean, square, slope = moments(act, math.sqrt(before), negative_slope)
        found.append(
            Depth(
                before=math.sqrt(before),
                mean=mean,
                spread=math.sqrt(max(0.0, square - mean * mean)),
                size=math.sqrt(square),
                forward=math.sqrt(square) / size,
                backward=math.sqrt(fan_out * variance * slope),
            )
        )
        size = math.sqrt(square)
        if size == 0:
            break
    return found
