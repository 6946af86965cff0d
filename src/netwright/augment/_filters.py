"""Neighbourhoods of a whole batch: smoothing and sharpening, each image by an amount of its own.

Written as sums of shifted images: a convolution may round otherwise in another batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Floats = npt.NDArray[np.float64]


def sharpened(images: Tensor, factor: Floats) -> Tensor:
    """Away from (`factor` above 1) or towards a slightly blurred copy, as Pillow does it.

    The blur is (1 1 1; 1 5 1; 1 1 1) / 13, and the outermost pixels are left alone.
    """
    height, width = images.shape[2:]
    if min(height, width) < 3:
        return images.clone()
    sharp = _real(images)
    middle = sharp[:, :, 1:-1, 1:-1]
    rows = sharp[:, :, :-2] + sharp[:, :, 1:-1] + sharp[:, :, 2:]
    soft = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * middle
    soft /= 13
    by = _column(factor, sharp)
    out = sharp.clone()
    out[:, :, 1:-1, 1:-1] = soft + by * (middle - soft)
    return _like(images, out)


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
    taps = [_column(weights[:, i] / total, images) for i in range(len(places))]
    out = _real(images)
    for axis in (2, 3):
        length = out.shape[axis]
        edges = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        padded = F.pad(out, edges, mode="replicate")
        out = torch.zeros_like(out)
        for i, tap in enumerate(taps):
            out += tap * padded.narrow(axis, i, length)
    return _like(images, out)


def _real(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.to(torch.float32)


def _column(values: Floats, images: Tensor) -> Tensor:
    real = images.dtype if images.is_floating_point() else torch.float32
    return torch.from_numpy(values).to(images.device, real).view(-1, 1, 1, 1)


def _like(images: Tensor, values: Tensor) -> Tensor:
    if images.is_floating_point():
        return values
    return (values + 0.5).clamp_(0, 255).to(torch.uint8)
