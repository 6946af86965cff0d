"""Rotate: each image turned about its centre by an angle of its own."""

from __future__ import annotations

from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._geometry import Affine, resampled, turned
from netwright.augment.keys import Keys
from netwright.core.config import config, setting


@config
class RotateOptions:
    """How far."""

    rotate: float = setting(
        0.0,
        ge=0,
        le=180,
        help="turn about the centre by up to so many degrees either way",
        unit="degrees",
        search=(0, 30),
    )


def _part(keys: Keys, amount: float, size: tuple[int, int]) -> Affine:
    return turned(amount * (2 * keys.uniform("rotate") - 1))


@AUGMENTATIONS.register(
    "rotate",
    options=RotateOptions,
    order=46,
    join=resampled,
    part=_part,
    paper="Simard et al. 2003, sec. 2",
)
def rotate(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Each image turned about its centre by up to `amount` degrees either way.

    The angle is uniform in [-amount, amount]; bilinear, corners that come into view are `fill`.
    With scale, shear, translate and crop_resize it is one resampling, so that nothing is blurred
    twice.

    When to use it: photographs that were not held level (10 to 15), things seen from above such
    as cells or satellite images (180).

    What goes wrong: beyond the symmetry of the classes labels become wrong: a 6 turned by 180
    degrees is a 9. Black corners can be learnt as a sign that an image is from training.
    """
    return resampled(images, keys, [(_part, amount)], fill)
