"""Noise: a normal random number added to every value of each image."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Fill
from netwright.augment._parts import by_parts, real_type
from netwright.augment.keys import Keys
from netwright.core import keyed
from netwright.core.config import config, setting

_TABLE = 2**18


@config
class NoiseOptions:
    """How strong."""

    noise: float = setting(
        0.0,
        ge=0,
        le=1,
        help="add normal noise of this standard deviation, as a share of black to white",
        search=(0, 0.1),
    )


@AUGMENTATIONS.register(
    "noise", options=NoiseOptions, order=80, pixels=True, paper="Bishop 1995; Sietsma & Dow 1991"
)
def noise(images: Tensor, keys: Keys, amount: float, fill: Fill = 0.0) -> Tensor:
    """Gaussian noise of standard deviation `amount`, 1 being the way from black to white.

    x' = x + amount n, n normal, another one for each value of each image in each epoch; bytes
    are rounded and cut off at black and white.

    Each row of an image reads its numbers from one table of 262,144, from a place of its own. (A
    draw of its own for each value costs 20 times as much: 8 against 0.4 us an image of CIFAR.)

    When to use it: little data, sensors that are noisy; for small amounts it acts like a penalty
    on steep functions (Bishop 1995).

    What goes wrong: too much hides fine texture; below 1/255 bytes swallow most of it.
    """
    channels, height, width = images.shape[1:]
    real = real_type(images)
    deviation = amount if images.is_floating_point() else 255 * amount
    rows = np.floor(keys.table(channels * height, "noise") * _TABLE).astype(np.int64)
    places = torch.from_numpy(rows)
    windows = _normals(width).unfold(0, width, 1)

    def change(some: Tensor, part: slice) -> Tensor:
        found = windows.index_select(0, places[part].flatten()).view(some.shape)
        return found.to(some.device, real).mul_(deviation).add_(some)

    return by_parts(images, change)


@functools.lru_cache(maxsize=4)
def _normals(width: int) -> Tensor:
    """Normal numbers (Box & Muller 1958), as many as let a row of `width` begin anywhere."""
    places = np.arange(_TABLE + width - 1)
    u, v = (keyed.uniform(places, "normal", lane) for lane in ("radius", "angle"))
    normal = np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)
    return torch.from_numpy(normal.astype(np.float32))
