"""Geometry of a whole batch: every move of an image as one affine map, all in one resampling.

Resampling blurs a little each time. So rotation, scale, shear and the like are multiplied with
each other first, and the pixels are interpolated once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.augment import Fill
from netwright.augment._parts import by_parts, real_type
from netwright.augment.keys import Keys

Floats: TypeAlias = npt.NDArray[np.float64]

Part: TypeAlias = Callable[[Keys, Any, tuple[int, int]], "Affine"]
"""The map of one leaf: `(keys, amount, (H, W))`."""


class Affine(NamedTuple):
    """Where each pixel of the result comes from: x' = a x + b y + c, y' = d x + e y + f.

    In pixels from the centre of the image, y downwards; six arrays, one number for each image.
    """

    a: Floats
    b: Floats
    c: Floats
    d: Floats
    e: Floats
    f: Floats

    @classmethod
    def of(cls, count: int, **given: Floats) -> Affine:
        """What is not `given` is as in the map that changes nothing."""
        plain = {name: np.full(count, float(name in "ae")) for name in cls._fields}
        return cls(**{**plain, **given})

    def then(self, other: Affine) -> Affine:
        """First this map, then `other`, as an image undergoes them."""
        # An image is looked up backwards: a pixel goes through `other`, then through this one.
        return Affine(
            self.a * other.a + self.b * other.d,
            self.a * other.b + self.b * other.e,
            self.a * other.c + self.b * other.f + self.c,
            self.d * other.a + self.e * other.d,
            self.d * other.b + self.e * other.e,
            self.d * other.c + self.e * other.f + self.f,
        )


def turned(degrees: Floats) -> Affine:
    """Rotation about the centre, counter-clockwise as one looks at the picture."""
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    return Affine.of(len(degrees), a=cosine, b=-sine, d=sine, e=cosine)


def resampled(
    images: Tensor, keys: Keys, parts: Sequence[tuple[Part, Any]], fill: Fill = 0.0
) -> Tensor:
    """The maps of all `parts`, in their order, in one resampling of `images` (N, C, H, W)."""
    size = (images.shape[2], images.shape[3])
    (first, amount), *others = parts
    whole = first(keys, amount, size)
    for part, amount in others:
        whole = whole.then(part(keys, amount, size))
    return resample(images, whole, fill)


def resample(images: Tensor, affine: Affine, fill: Fill = 0.0) -> Tensor:
    """`images` (N, C, H, W) under one affine map each, bilinear; shape and type stay.

    A pixel is a square: the picture reaches half a pixel beyond the outer pixels' centres, as
    in Pillow, and outside it is `fill`.
    """
    height, width = images.shape[2:]
    real = real_type(images)
    # grid_sample counts from -1 to 1, from one end of the picture to the other.
    scaled = np.stack(
        [
            *(each * (2 / max(width, 1)) for each in affine[:3]),
            *(each * (2 / max(height, 1)) for each in affine[3:]),
        ]
    )
    reaches = _reaches_outside(scaled, height, width)
    numbers = torch.from_numpy(scaled).to(images.device, real)[:, :, None, None]
    x = torch.arange(width, device=images.device, dtype=real) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=real) - (height - 1) / 2)[:, None]

    def change(some: Tensor, part: slice) -> Tensor:
        a, b, c, d, e, f = numbers[:, part]
        # Sums and products one by one: a matrix product may round otherwise in another batch.
        grid = torch.empty(len(some), 2, height, width, dtype=real, device=images.device)
        torch.add(a * x, b * y + c, out=grid[:, 0])
        torch.add(d * x, e * y + f, out=grid[:, 1])
        sampled = F.grid_sample(
            some.to(real), grid.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
        )
        if not reaches[part].any():
            return sampled
        inside = (grid.abs_() <= 1).all(1, keepdim=True)
        border = torch.as_tensor(fill).to(sampled).view(-1, 1, 1)
        return torch.where(inside, sampled, border)

    return by_parts(images, change)


def _reaches_outside(scaled: Floats, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Whether any pixel of an image is looked up outside it, (N,): its corners are farthest."""
    a, b, c, d, e, f = scaled
    across, down = (width - 1) / 2, (height - 1) / 2
    farthest = np.maximum(
        np.abs(a) * across + np.abs(b) * down + np.abs(c),
        np.abs(d) * across + np.abs(e) * down + np.abs(f),
    )
    result: npt.NDArray[np.bool_] = farthest > 1
    return result
