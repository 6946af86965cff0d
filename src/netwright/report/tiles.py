"""Numbers as tiles: filters and feature maps as small pictures, alone or in rows; PNG files.

Everything takes and gives NumPy arrays, so the report draws without torch.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from netwright.records.arrays import Array

_PAPER = 255

# Black at zero; above it violet, red and pale yellow, below it blue: as light as the value is far
# from zero, and told apart by every kind of colour vision. The warm half are eight stops of
# "inferno" (S. van der Walt and N. Smith 2015, CC0).
_COLD = ((206, 236, 252), (112, 186, 232), (46, 120, 186), (16, 58, 110), (0, 0, 4))
_WARM = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51),
    (249, 140, 10), (249, 201, 50), (252, 255, 164),
)  # fmt: skip


def filter_tiles(weight: Array) -> Array:
    """The filters of a convolution as pictures, (N, h, w, 3) uint8; `weight` is (N, C, h, w).

    Three input channels show as colour, one as grey, several as the mean over them. Zero is the
    middle grey, and all tiles share one scale: the 99.5th percentile of the absolute weights, so
    that filters that learned nothing stay grey beside those that did.

    >>> filter_tiles(np.array([1.0, -1.0, 0.0])[:, None, None, None])[:, 0, 0, 0].tolist()
    [255, 1, 128]
    """
    shown = weight if weight.shape[1] in (1, 3) else weight.mean(axis=1, keepdims=True)
    tiles = signed_bytes(shown).transpose(0, 2, 3, 1)
    return np.broadcast_to(tiles, (*tiles.shape[:3], 3)).copy()


def signed_bytes(values: Array) -> Array:
    """uint8 of the shape of `values`: 128 is zero, 1 and 255 the 99.5th percentile of their
    absolute; what is not finite counts as zero."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    scale = float(np.percentile(np.abs(finite), 99.5)) if finite.size else 0.0
    scale = scale or float(np.abs(finite).max(initial=0.0)) or 1.0
    return np.asarray(128 + np.clip(finite / scale, -1, 1) * 127).round().astype(np.uint8)


def coloured(tiles: Array) -> Array:
    """What `signed_bytes` made, with one more axis of three: black at zero, warm above it, blue
    below."""
    return _LADDER[tiles]


def shrunk(tile: Array, side: int) -> Array:
    """(h, w) or (h, w, 3) uint8, its longer side at most `side`: means of whole areas."""
    longest = max(tile.shape[:2])
    if longest <= side:
        return tile
    size = [max(1, round(each * side / longest)) for each in tile.shape[:2]]
    picture = Image.fromarray(np.ascontiguousarray(tile))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX))


def montage(tiles: Array, *, columns: int, gap: int = 2) -> Array:
    """Tiles (N, h, w, 3) in rows on white, with `gap` white pixels between them.

    >>> montage(np.zeros((3, 4, 4, 3), np.uint8), columns=2, gap=1).shape
    (9, 9, 3)
    """
    count, tall, wide = tiles.shape[:3]
    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    page = np.full(
        (max(1, rows * (tall + gap) - gap), max(1, columns * (wide + gap) - gap), 3),
        _PAPER,
        dtype=np.uint8,
    )
    for i, tile in enumerate(tiles):
        top, left = i // columns * (tall + gap), i % columns * (wide + gap)
        page[top : top + tall, left : left + wide] = tile
    return page


def enlarged(tiles: Array, side: int) -> Array:
    """Tiles (N, h, w, 3) whose longer side comes to about `side`, in whole sharp pixels."""
    factor = max(1, round(side / max(1, *tiles.shape[1:3])))
    return tiles.repeat(factor, axis=1).repeat(factor, axis=2)


def bar_strip(values: Array, *, height: int = 96) -> Array:
    """Numbers (N,) as bars on white, (height, w, 3) uint8: up from a line at zero, or down.

    Blue is above zero and orange below, as elsewhere in the report.
    """
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    high, low = max(0.0, float(finite.max(initial=0))), min(0.0, float(finite.min(initial=0)))
    scale = (height - 1) / ((high - low) or 1.0)
    zero = round(high * scale)
    width = max(1, min(12, 960 // max(1, len(finite))))
    space = 1 if width > 2 else 0
    page = np.full((height, max(1, len(finite) * width), 3), _PAPER, dtype=np.uint8)
    page[zero] = 200
    for i, value in enumerate(finite):
        end = zero - round(float(value) * scale)
        top, bottom = sorted((zero, end))
        left = i * width
        page[top : bottom + 1, left : left + width - space] = _BLUE if value >= 0 else _ORANGE
    return page


def png(pixels: Array) -> bytes:
    """(h, w) or (h, w, 3) uint8 as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


_BLUE, _ORANGE = (0, 114, 178), (213, 94, 0)
_STOPS = np.concatenate([np.linspace(0, 128, len(_COLD)), np.linspace(128, 255, len(_WARM))[1:]])
_LADDER = np.stack(
    [np.interp(np.arange(256), _STOPS, each) for each in np.transpose((*_COLD, *_WARM[1:]))], axis=1
)
_LADDER = _LADDER.round().astype(np.uint8)
