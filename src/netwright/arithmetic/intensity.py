"""Arithmetic intensity: how many operations are done for each byte that is moved.

Below the balance of a machine (its operations a second over its bytes a second) memory sets the
time of a layer, above it the arithmetic does (Williams, Waterman & Patterson 2009, Roofline: an
insightful visual performance model).
"""

from __future__ import annotations

from fractions import Fraction


def bytes_moved(inputs: int, weights: int, outputs: int, *, each: int = 4) -> int:
    """What a layer moves at least: inputs and weights read once, outputs written once, `each` so
    many bytes.

    >>> bytes_moved(512, 513_000, 1000)
    2058048
    """
    return each * (inputs + weights + outputs)


def intensity(macs: int, inputs: int, weights: int, outputs: int, *, each: int = 4) -> Fraction:
    """FLOPs (twice the multiply-adds) for each byte moved.

    >>> round(float(intensity(512_000, 512, 513_000, 1000)), 2)
    0.5
    """
    return Fraction(2 * macs, bytes_moved(inputs, weights, outputs, each=each))
