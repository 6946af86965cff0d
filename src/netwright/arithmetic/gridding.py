"""Holes in the field of stacked dilated convolutions: which positions are read at all.

Layers of equal rate m read every m-th position only (gridding). The rule of hybrid dilated
convolution (Wang et al. 2018, Understanding convolution for semantic segmentation, section 3.2)
tells without counting: with M_n = d_n and

    M_j = max(M_(j+1) - 2 d_j, M_(j+1) - 2 (M_(j+1) - d_j), d_j),

the distance between two read positions, M_2 must not exceed the kernel, and the rates must have
no common factor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence


def positions_read(rates: Sequence[int], kernel_size: int = 3) -> list[int]:
    """Which positions along one axis one unit behind the layers reads, from the first on.

    >>> positions_read([2, 2, 2])
    [0, 2, 4, 6, 8, 10, 12]
    >>> len(positions_read([1, 2, 5]))
    17
    """
    read = 1  # the bits of one number: each layer reads copies of it, moved by its rate
    for rate in rates:
        read = functools.reduce(lambda sum_, tap: sum_ | read << tap * rate, range(kernel_size), 0)
    return [place for place, bit in enumerate(reversed(bin(read)[2:])) if bit == "1"]


def field_of(rates: Sequence[int], kernel_size: int = 3) -> int:
    """How many positions the field spans: 1 + (k - 1) times the sum of the rates.

    >>> field_of([2] * 5), field_of([1, 2, 4, 8])
    (21, 31)
    """
    return 1 + (kernel_size - 1) * sum(rates)


def coverage(rates: Sequence[int], kernel_size: int = 3, *, dims: int = 2) -> tuple[int, int]:
    """How many pixels of the field are read, and how many it has.

    >>> coverage([2, 2, 2]), coverage([1, 2, 5]), coverage([1, 2, 4, 8])
    ((49, 169), (289, 289), (961, 961))
    """
    read = len(positions_read(rates, kernel_size))
    return read**dims, field_of(rates, kernel_size) ** dims


def largest_distance(rates: Sequence[int]) -> int:
    """M_2 of the rule: the distance that the second layer's kernel must bridge. One layer alone
    has the distance of its own rate.

    >>> largest_distance([1, 2, 5]), largest_distance([1, 2, 9])
    (2, 5)
    """
    distance = rates[-1]
    for rate in reversed(rates[1:-1]):
        distance = max(distance - 2 * rate, distance - 2 * (distance - rate), rate)
    return distance


def common_factor(rates: Sequence[int]) -> int:
    """The greatest number that divides every rate; above 1 there are holes.

    >>> common_factor([2, 4, 8])
    2
    """
    return math.gcd(*rates)


def follows_rule(rates: Sequence[int], kernel_size: int = 3) -> bool:
    """Whether the rule promises a field without holes."""
    return common_factor(rates) == 1 and largest_distance(rates) <= kernel_size
