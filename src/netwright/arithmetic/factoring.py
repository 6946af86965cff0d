"""Cheaper forms of a k x k convolution from C to N channels, and what they save.

Separable: a k x k filter on each channel, then 1 x 1 across them: k^2 C + C N weights, and the
share 1/N + 1/k^2 of the full ones (Sifre 2014; Howard et al. 2017). Bottleneck: 1 x 1 to M
channels, then k x k: C M + k^2 M N (Lin, Chen & Yan 2014; Szegedy et al. 2015). Multiply-adds
keep the same shares at stride 1. Biases are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def full_weights(in_channels: int, out_channels: int, kernel_size: Sequence[int]) -> int:
    """k^2 C N."""
    return math.prod(kernel_size) * in_channels * out_channels


def separable_weights(in_channels: int, out_channels: int, kernel_size: Sequence[int]) -> int:
    """k^2 C + C N.

    >>> separable_weights(64, 128, (3, 3))
    8768
    """
    return math.prod(kernel_size) * in_channels + in_channels * out_channels


def separable_share(out_channels: int, kernel_size: Sequence[int]) -> Fraction:
    """1/N + 1/k^2 of the full weights and multiply-adds.

    >>> separable_share(128, (3, 3))
    Fraction(137, 1152)
    """
    return Fraction(1, out_channels) + Fraction(1, math.prod(kernel_size))


def bottleneck_weights(
    in_channels: int, out_channels: int, kernel_size: Sequence[int], width: int
) -> int:
    """C M + k^2 M N for a bottleneck of M = `width` channels.

    >>> bottleneck_weights(192, 32, (5, 5), 16)  # the 5 x 5 path of GoogLeNet's 3a
    15872
    """
    return in_channels * width + math.prod(kernel_size) * width * out_channels


def widest_bottleneck(
    in_channels: int, out_channels: int, kernel_size: Sequence[int], share: Fraction = Fraction(1)
) -> int:
    """The most channels whose bottleneck has at most `share` of the full weights; 0 if none.

    M (C + k^2 N) <= share k^2 C N.

    >>> widest_bottleneck(192, 32, (5, 5)), widest_bottleneck(192, 32, (5, 5), Fraction(1, 4))
    (154, 38)
    """
    full = full_weights(in_channels, out_channels, kernel_size)
    each = in_channels + math.prod(kernel_size) * out_channels
    return math.floor(share * full / each)
