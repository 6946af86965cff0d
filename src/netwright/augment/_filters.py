"""Neighbourhoods of a whole batch: smoothing and sharpening, each image by an amount of its own.

Written as sums of shifted images: a convolution may round otherwise in another batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.augment._parts import by_parts, real_type

Floats = npt.NDArray[np.float64]


def sharpened(images: Tensor, factor: Floats) -> Tensor:
    """Away from (`factor` above 1) or towards a slightly blurred copy, as Pillow does it.

    The blur is (1 1 1; 1 5 1; 1 1 1) / 13, and the outermost pixels are left alone.
    """
    real = real_type(images)
    factors = torch.from_numpy(factor).to(images.device, real).view(-1, 1, 1, 1)

    def change(some: Tensor, part: slice) -> Tensor:
        sharp = some.to(real)
        middle = sharp[:, :, 1:-1, 1:-1]
        rows = sharp[:, :, :-2] + sharp[:, :, 1:-1] + sharp[:, :, 2:]
        soft = rows[..., :-2] + rows[..., 1:-1]
        soft.add_(rows[..., 2:]).add_(middle * 4).div_(13)
        out = sharp.clone()
        out[:, :, 1:-1, 1:-1] = (middle - soft).mul_(factors[part]).add_(soft)
        return out

    return by_parts(images, change) if min(images.shape[2:]) >= 3 else images.clone()


def smoothed(images: Tensor, sigma: Floats) -> Tensor:
    """Gaussian blur, `sigma` (N,) pixels above 0; beyond the border the outermost pixels go on."""
    reach = max(1, int(np.ceil(3 * sigma.max(initial=0.0))))
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / sigma[:, None]) ** 2)
    # Cut off at 3 sigma of the image's own: its result must not depend on its neighbours'.
    weights[np.abs(places) > np.ceil(3 * sigma[:, None])] = 0.0
    total = np.zeros(len(sigma))
    for i in range(len(places)):
        total += weights[:, i]
    real = real_type(images)
    taps = torch.from_numpy(weights / total[:, None]).to(images.device, real)[:, :, None, None]

    def change(some: Tensor, part: slice) -> Tensor:
        out = some.to(real)
        for axis in (2, 3):
            length = out.shape[axis]
            edges = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
            padded = F.pad(out, edges, mode="replicate")
            out = torch.zeros_like(out)
            for i in range(len(places)):
                out.add_(padded.narrow(axis, i, length) * taps[part, i : i + 1])
        return out

    return by_parts(images, change)
