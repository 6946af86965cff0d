"""Colours of a whole batch: every change as one matrix an image, all in one pass.

Nothing is rounded or cut off in between, so that an image made bright and then dark again has
lost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.augment import Fill
from netwright.augment._parts import by_parts, real_type
from netwright.augment.keys import Keys

Floats: TypeAlias = npt.NDArray[np.float64]

Part: TypeAlias = Callable[["Colours", Keys, Any], None]
"""The change of one leaf, entered into the `Colours`: `(colours, keys, amount)`."""

# How bright the eye finds red, green and blue (ITU-R BT.601, as Pillow's grey).
_LUMA = (0.299, 0.587, 0.114)

# Luma and two axes of colour (the YIQ of NTSC): hue is the angle in the plane of the two.
_YIQ = np.array([_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
_RGB = np.linalg.inv(_YIQ)

# A fixed point for sums: whole numbers add up to the same in whatever order.
_FINE = 2.0**20


class Colours:
    """x' = A x + o for each image: A (N, K, K) between channels, o (N, 1, 1) the same for all.

    K is 3 once colours of an RGB image are mixed, else 1: one factor for all channels. Every
    matrix keeps greys grey, which is why one number is enough for o.
    """

    def __init__(self, images: Tensor) -> None:
        count, channels = images.shape[:2]
        self._images = images
        self._luma = _LUMA if channels == 3 else (1 / max(channels, 1),) * channels
        self._matrix = torch.ones(count, 1, 1, dtype=torch.float64, device=images.device)
        self._offset = torch.zeros_like(self._matrix)

    def brighten(self, factor: Floats) -> None:
        """Times `factor` (N,)."""
        by = self._column(factor)
        self._matrix, self._offset = self._matrix * by, self._offset * by

    def contrast(self, factor: Floats) -> None:
        """Away from (above 1) or towards the mean brightness of the image."""
        by, grey = self._column(factor), self._mean_grey()
        self._matrix = self._matrix * by
        self._offset = self._offset * by + (1 - by) * grey

    def saturate(self, factor: Floats) -> None:
        """Away from or towards the grey of each pixel; greys stay."""
        if len(self._luma) != 3:
            return
        self._spread()
        by = self._column(factor)
        r, g, b = (self._matrix[:, i : i + 1] for i in range(3))
        grey = _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b
        self._matrix = self._matrix * by + (1 - by) * grey

    def turn(self, angle: Floats) -> None:
        """Hue turned by `angle` (N,) radians at the same brightness; greys stay."""
        if len(self._luma) != 3:
            return
        self._spread()
        plane = np.zeros((len(angle), 3, 3))
        plane[:, 0, 0] = 1.0
        plane[:, 1, 1] = plane[:, 2, 2] = np.cos(angle)
        plane[:, 1, 2] = -np.sin(angle)
        plane[:, 2, 1] = np.sin(angle)
        turn = torch.from_numpy(_RGB @ plane @ _YIQ).to(self._matrix)
        rows = [turn[:, :, i : i + 1] * self._matrix[:, i : i + 1] for i in range(3)]
        self._matrix = rows[0] + rows[1] + rows[2]

    def apply(self) -> Tensor:
        """The images with all changes; bytes are cut off at 0 and 255, floats nowhere."""
        real = real_type(self._images)
        matrix, offset = self._matrix.to(real)[..., None], self._offset.to(real)[..., None]

        def change(some: Tensor, part: slice) -> Tensor:
            by, more = matrix[part], offset[part]
            if by.shape[1] == 1:
                return (some.to(real) * by).add_(more)
            red, green, blue = some.to(real).split(1, dim=1)
            from_red, from_green, from_blue = by.split(1, dim=2)
            out = red * from_red
            return out.add_(green * from_green).add_(blue * from_blue).add_(more)

        return by_parts(self._images, change)

    def _column(self, values: Floats) -> Tensor:
        return torch.from_numpy(values).to(self._matrix)[:, None, None]

    def _spread(self) -> None:
        if self._matrix.shape[1] == 1:
            self._matrix = self._matrix * torch.eye(3).to(self._matrix)

    def _mean_grey(self) -> Tensor:
        """The mean brightness of each image after the changes so far, (N, 1, 1)."""
        means = _sums(self._images) / max(self._images.shape[2] * self._images.shape[3], 1)
        if self._matrix.shape[1] == 3:
            mixed = [self._matrix[:, :, i] * means[:, i : i + 1] for i in range(3)]
            seen = mixed[0] + mixed[1] + mixed[2]
        else:
            seen = means * self._matrix[:, 0]
        grey = torch.zeros_like(self._offset)
        for i, weight in enumerate(self._luma):
            grey = grey + weight * seen[:, i, None, None]
        return grey + self._offset


def recoloured(
    images: Tensor, keys: Keys, parts: Sequence[tuple[Part, Any]], fill: Fill = 0.0
) -> Tensor:
    """The changes of all `parts`, in their order, in one pass over `images` (N, C, H, W)."""
    colours = Colours(images)
    for part, amount in parts:
        part(colours, keys, amount)
    return colours.apply()


def around_one(keys: Keys, amount: float, lane: str) -> Floats:
    """A factor for each image, uniform in [1 - amount, 1 + amount]."""
    return 1 + amount * (2 * keys.uniform(lane) - 1)


def _sums(images: Tensor) -> Tensor:
    """The sum of each channel, (N, C) float64, the same bits whatever the batch.

    The order of a sum depends on the batch, so all that is added is whole and small enough to
    be exact: a row of bytes in float32 (2^24 holds 65,793 of them), all else in float64.
    """
    if images.is_floating_point():
        return (images.double() * _FINE).round_().sum((2, 3)) / _FINE
    narrow = torch.float32 if images.shape[3] <= 65_793 else torch.float64
    return images.to(narrow).sum(3).double().sum(2)
