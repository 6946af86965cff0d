"""The stem of a network: how much of the image is given up before the first block.

Networks made for 224x224 pixels throw away three quarters of them or more in their first two
layers. Of an image of 32x32 that leaves 8x8 to begin with and one pixel at the end. A small stem
sees the image whole: a first convolution of 3x3 with stride 1, and no pooling behind it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

StemName: TypeAlias = Literal["auto", "standard", "small"]

SMALL_BELOW = 64
"""Images of which a side is smaller get the small stem under "auto": at 64x64 a network that
divides by 32 still has 2x2 positions in its last maps."""

STEM_HELP = "how the image is taken in: as published, or whole for images below 64 pixels"


def is_small(stem: StemName, input_size: tuple[int, int]) -> bool:
    """Whether a network for images of `input_size` (height, width) has the small stem.

    >>> is_small("auto", (32, 32)), is_small("auto", (224, 224)), is_small("small", (224, 224))
    (True, False, True)
    """
    return stem == "small" or (stem == "auto" and min(input_size) < SMALL_BELOW)
