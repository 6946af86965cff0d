"""The operations that policies choose from, each image its own, done kind by kind.

Images with the same kind of operation are gathered, changed together and put back: five that
move pixels in one resampling, three of colour in one pass, sharpness, and four tables of tone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.augment import Fill
from netwright.augment import _tables as tables
from netwright.augment._colours import Colours
from netwright.augment._filters import sharpened
from netwright.augment._geometry import Affine, resample, turned
from netwright.augment.keys import Keys

OPERATIONS = (
    "identity",
    "shear-x",
    "shear-y",
    "translate-x",
    "translate-y",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
"""The fourteen of RandAugment and TrivialAugment, under the names of the field."""

_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
_MOVES = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
_COLOURS = ("brightness", "saturation", "contrast")


@dataclass(frozen=True, kw_only=True)
class Space:
    """What each operation does at full strength, 1; at strength 0 none does anything."""

    shear: float
    """Pixels to the side for each pixel downwards."""
    translate: float
    """Share of the side."""
    rotate: float
    """Degrees."""
    enhance: float
    """How far the factor of brightness, saturation, contrast and sharpness is from 1."""
    bits: int
    """Of 8, dropped by posterize. (solarize inverts everything at full strength.)"""


def operated(
    images: Tensor,
    keys: Keys,
    strength: npt.NDArray[np.float64],
    space: Space,
    fill: Fill,
    *,
    lane: str,
) -> Tensor:
    """One operation on each image (N, C, H, W), drawn from `keys`, as is its direction.

    `strength` (N,) from 0 to 1. Bytes, or floats 0..1.
    """
    chosen = keys.integers(0, len(OPERATIONS) - 1, f"{lane}-operation")
    signed = strength * np.where(keys.uniform(f"{lane}-sign") < 0.5, -1.0, 1.0)
    out = images.clone()

    def change(
        names: tuple[str, ...], how: Callable[[Tensor, npt.NDArray[np.int64]], Tensor]
    ) -> None:
        where = np.flatnonzero(np.isin(chosen, [_NUMBER[name] for name in names]))
        if len(where):
            rows = torch.from_numpy(where).to(images.device)
            out.index_copy_(0, rows, how(images.index_select(0, rows), where))

    def moved(some: Tensor, where: npt.NDArray[np.int64]) -> Tensor:
        affine = _moves(chosen[where], signed[where], space, (some.shape[2], some.shape[3]))
        return resample(some, affine, fill)

    def coloured(some: Tensor, where: npt.NDArray[np.int64]) -> Tensor:
        factor = 1 + signed[where] * space.enhance
        brightness, saturation, contrast = (
            np.where(chosen[where] == _NUMBER[name], factor, 1.0) for name in _COLOURS
        )
        colours = Colours(some)
        colours.brighten(brightness)
        colours.contrast(contrast)
        colours.saturate(saturation)
        return colours.apply()

    change(_MOVES, moved)
    change(_COLOURS, coloured)
    change(("sharpness",), lambda some, at: sharpened(some, 1 + signed[at] * space.enhance))
    change(
        ("posterize",),
        lambda some, at: tables.posterised(
            some, 8 - np.rint(strength[at] * space.bits).astype(np.int64)
        ),
    )
    change(("solarize",), lambda some, at: tables.solarised(some, 256 * (1 - strength[at])))
    change(("autocontrast",), lambda some, _: tables.stretched(some))
    change(("equalize",), lambda some, _: tables.equalised(some))
    return out


def _moves(
    chosen: npt.NDArray[np.int64],
    signed: npt.NDArray[np.float64],
    space: Space,
    size: tuple[int, int],
) -> Affine:
    """The map of each image: one of the five moves, all others at rest."""
    height, width = size

    def amount(name: str, full: float) -> npt.NDArray[np.float64]:
        return np.where(chosen == _NUMBER[name], signed * full, 0.0)

    turn = turned(amount("rotate", space.rotate))
    return turn._replace(
        b=turn.b - amount("shear-x", space.shear),
        c=turn.c - amount("translate-x", space.translate * width),
        d=turn.d - amount("shear-y", space.shear),
        f=turn.f - amount("translate-y", space.translate * height),
    )
