"""The width of a network: one factor on the channels of every layer.

Howard et al. 2017, "MobileNets", section 3.3: parameters and multiply-adds fall roughly with its
square. It turns a network made for ImageNet into one that a small data set can fill.
"""

from __future__ import annotations


def scaled(channels: int, width: float) -> int:
    """`channels` times `width` to the nearest multiple of 8, at least 8, none lost beyond 10 %.

    Multiples of 8 suit the vector units of processors; the last rule is that of the authors'
    code. At `width` 1 every multiple of 8 stays what it is.

    >>> scaled(64, 1.0), scaled(64, 0.5), scaled(24, 0.75), scaled(32, 0.1)
    (64, 32, 24, 8)
    """
    nearest = max(8, int(channels * width + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels * width else nearest + 8
