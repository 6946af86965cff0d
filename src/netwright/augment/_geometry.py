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
from netwright.augment.keys import Keys

Floats: TypeAlias = npt.NDArray[np.float64]

Part: TypeAlias = Callable[[Keys, Any, tuple[int, int]], "Affine"]
"""The map of one leaf: `(keys, amount, (H, W))`."""

# Images are interpolated so many values at a time. Measured on 224x224x3: 0.31 ms an image while
# its floats stay in the cache, 0.72 in one go over 32 of them.
_AT_ONCE = 2**18


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
    count, _, height, width = images.shape
    if not images.numel():
        return images.clone()
    real = images.dtype if images.is_floating_point() else torch.float32
    # grid_sample counts from -1 to 1, from one end of the picture to the other.
    scaled = [
        *(each * (2 / width) for each in affine[:3]),
        *(each * (2 / height) for each in affine[3:]),
    ]
    numbers = torch.from_numpy(np.stack(scaled)).to(images.device, real)[:, :, None, None]
    x = torch.arange(width, device=images.device, dtype=real) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=real) - (height - 1) / 2)[:, None]
    out = torch.empty_like(images)
    whole = count if images.is_cuda else max(1, _AT_ONCE // images[0].numel())
    for start in range(0, count, whole):
        part = slice(start, start + whole)
        a, b, c, d, e, f = numbers[:, part]
        # Sums and products one by one: a matrix product may round otherwise in another batch.
        grid = torch.stack([a * x + (b * y + c), d * x + (e * y + f)], dim=-1)
        sampled = F.grid_sample(
            images[part].to(real), grid, padding_mode="border", align_corners=False
        )
        outside = (grid.abs() > 1).any(-1)[:, None]
        if isinstance(fill, Tensor):
            sampled = torch.where(outside, fill.to(sampled)[:, None, None], sampled)
        else:
            sampled.masked_fill_(outside, fill)
        out[part] = sampled if images.is_floating_point() else sampled.add_(0.5)
    return out
