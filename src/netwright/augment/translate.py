"""Translate: each image moved by a share of its size, between pixels too."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._geometry import Affine, resampled
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class TranslateOptions:
    """How far."""

    translate: float = setting(
        0.0,
        ge=0,
        lt=1,
        help="move by up to this share of the height and of the width",
        search=(0, 0.2),
    )


def _part(keys: Keys, amount: float, size: tuple[int, int]) -> Affine:
    height, width = size
    down = height * amount * (2 * keys.uniform("translate-y") - 1)
    right = width * amount * (2 * keys.uniform("translate-x") - 1)
    return Affine.of(len(down), c=-right, f=-down)


@AUGMENTATIONS.register("translate", options=TranslateOptions, order=48, join=resampled, part=_part)
def translate(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image moved by up to the share `amount` of its height and of its width.

    Both moves are uniform and need not be whole pixels, so the image is interpolated; `fill`
    stands where it came from.

    When to use it: together with rotate, scale or shear, which interpolate anyway.

    What goes wrong: alone it blurs for nothing; shift and crop move by whole pixels, are faster
    and keep every pixel as it is.
    """
    return resampled(images, keys, [(_part, amount)], fill)
