"""The effective receptive field of a unit, as measured: where the pixels are that move it.

The theoretical field says which pixels can matter at all; within it influence is bell-shaped and
most of it sits near the centre (Luo, Li, Urtasun & Zemel 2016, "Understanding the Effective
Receptive Field in Deep Convolutional Neural Networks").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.records.arrays import Array

MOST = 0.95
"""The share of the mass that a field's area is measured by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectiveField:
    """What was measured for one unit of one layer, over some images.

    `mass` (H, W) is the share of each pixel in the squared gradient of the unit, its channels
    summed, over all channels of the images: it sums to 1. `rows` and `columns` are the first and
    the last pixel of the theoretical field, which may lie outside the image; None where the field
    is not known.
    """

    layer: str
    kind: str
    unit: tuple[int, int]
    mass: Array
    rows: tuple[int, int] | None
    columns: tuple[int, int] | None
    images: int

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the centre of the mass."""
        down, across = self._sides()
        return _mean(down), _mean(across)

    @property
    def sigma(self) -> tuple[float, float]:
        """Standard deviations of the mass along rows and columns, in pixels: those of the
        Gaussian that is as wide."""
        down, across = self._sides()
        return _deviation(down), _deviation(across)

    @property
    def diameter(self) -> float:
        """Of the disc that this Gaussian makes: four standard deviations, the mean of both axes."""
        down, across = self.sigma
        return 4 * math.sqrt((down**2 + across**2) / 2)

    @property
    def theoretical(self) -> tuple[int, int] | None:
        """Height and width of the theoretical field within the image."""
        if self.rows is None or self.columns is None:
            return None
        height, width = self.mass.shape
        high = min(self.rows[1], height - 1) - max(self.rows[0], 0) + 1
        wide = min(self.columns[1], width - 1) - max(self.columns[0], 0) + 1
        return high, wide

    def pixels(self, share: float = MOST) -> int:
        """The fewest pixels that hold this share of the mass.

        >>> one = EffectiveField(layer="conv", kind="Conv2d", unit=(0, 0), images=1,
        ...     mass=np.array([[0.7, 0.2], [0.1, 0.0]]), rows=(0, 1), columns=(0, 1))
        >>> one.pixels(0.7), one.pixels(0.85), one.pixels(1)
        (1, 2, 3)
        """
        largest = np.sort(self.mass, axis=None)[::-1]
        return int(np.searchsorted(np.cumsum(largest), share * (1 - 1e-12))) + 1

    @property
    def area_share(self) -> float | None:
        """The part of the theoretical field (within the image) that holds 95 % of the mass."""
        if self.theoretical is None:
            return None
        high, wide = self.theoretical
        return self.pixels() / (high * wide)

    def box(self, share: float = MOST) -> int:
        """The side of the smallest square round the middle of the theoretical field, or of the
        mass, that holds this share of the mass."""
        height, width = self.mass.shape
        row, column = self._middle()
        down = np.abs(np.arange(height) - row)[:, None]
        across = np.abs(np.arange(width) - column)[None, :]
        far = np.maximum(down, across).reshape(-1)
        order = np.argsort(far, kind="stable")
        reached = np.searchsorted(np.cumsum(self.mass.reshape(-1)[order]), share * (1 - 1e-12))
        return int(2 * far[order[min(int(reached), far.size - 1)]]) + 1

    def facts(self) -> dict[str, Any]:
        """All but the picture, as what JSON can hold."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "unit": list(self.unit),
            "images": self.images,
            "rows": None if self.rows is None else list(self.rows),
            "columns": None if self.columns is None else list(self.columns),
            "centre": list(self.centre),
            "sigma": list(self.sigma),
            "diameter": self.diameter,
            "pixels": self.pixels(),
            "box": self.box(),
            "area_share": self.area_share,
        }

    def _middle(self) -> tuple[float, float]:
        if self.rows is None or self.columns is None:
            return self.centre
        return sum(self.rows) / 2, sum(self.columns) / 2

    def _sides(self) -> tuple[Array, Array]:
        return self.mass.sum(axis=1), self.mass.sum(axis=0)


def _mean(weights: Array) -> float:
    return float(np.arange(len(weights)) @ weights)


def _deviation(weights: Array) -> float:
    away = np.arange(len(weights)) - _mean(weights)
    return math.sqrt(float(away**2 @ weights))
