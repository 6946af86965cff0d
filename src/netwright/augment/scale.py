"""Scale: each image enlarged or reduced about its centre."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._geometry import Affine, resampled
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class ScaleOptions:
    """How much."""

    scale: float = setting(
        0.0,
        ge=0,
        lt=1,
        help="enlarge or reduce by up to this share: 0.1 is a factor from 0.9 to 1.1",
        search=(0, 0.3),
    )


def _part(keys: Keys, amount: float, size: tuple[int, int]) -> Affine:
    factor = 1 + amount * (2 * keys.uniform("scale") - 1)
    return Affine.of(len(factor), a=1 / factor, e=1 / factor)


@AUGMENTATIONS.register("scale", options=ScaleOptions, order=42, join=resampled, part=_part)
def scale(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image enlarged or reduced about its centre, by up to the share `amount`.

    The factor is uniform in [1 - amount, 1 + amount], the same in height and width; the frame
    stays, so an enlarged image is cut and a reduced one has a border of `fill`.

    When to use it: things that come at different distances.

    What goes wrong: fine patterns of a much reduced image flicker, for it is not smoothed first;
    where size itself is the label (a big and a small screw) it erases the difference.
    """
    return resampled(images, keys, [(_part, amount)], fill)
