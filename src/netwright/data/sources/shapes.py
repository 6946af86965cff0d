"""Synthetic shapes: one geometric figure an image, of any size, drawn the same everywhere.

Place, size, turn and colours of figure `i` are functions of `i`, so a figure can be asked for
at any resolution, and a later task can ask for its box and mask: see `figures` and `draw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from netwright.core import keyed
from netwright.core.config import config, setting
from netwright.core.languages import say
from netwright.data.dataset import Int64Array, MemoryImages
from netwright.data.sources import SOURCES, Found, Request
from netwright.data.splits import stratified

Floats = npt.NDArray[np.float64]

_SIZE = 32
_TEST_SHARE = 0.2
_CHUNK = 256


@config
class ShapesOptions:
    """How many figures of how many kinds, and how hard they are to see."""

    images: int = setting(2000, ge=1, le=1_000_000, help="figures in all, test included")
    num_classes: int = setting(6, ge=2, le=8, help="kinds of figures")
    noise: float = setting(0.1, ge=0, le=1, help="largest change of a value by noise, of 1")


@SOURCES.register("shapes", options=ShapesOptions, classes=8, built_in=True)
def shapes(request: Request, options: ShapesOptions) -> Found:
    """Coloured circles, squares, triangles, stars, crosses ... of any `data.size` (32).

    Images (3, size, size) uint8, drawn by a program: place, size, turn and colours of figure i are
    functions of i. Classes take turns, so they are balanced; a stratified fifth is the test split,
    the same for every seed.

    When to use it: colour images of any size and number without a download; to see whether a
    network made for large images runs; tasks that need boxes and masks with known answers.

    What goes wrong: it is easier than any photograph, and what wins here need not win there.
    `data.noise` makes it harder, few `data.images` harder still. Small images leave a star little
    to be told by: below about 16 pixels kinds run into each other.
    """
    every = figures(options.images, num_classes=options.num_classes)
    size = request.size or _SIZE
    pool = np.concatenate(
        [
            draw(every[first : first + _CHUNK], size=size, noise=options.noise)[0]
            for first in range(0, options.images, _CHUNK)
        ]
    )
    images = MemoryImages(
        torch.from_numpy(pool), every.kind, names="shape-{:06d}".format, marks=_none
    )
    classes = tuple(KINDS)[: options.num_classes]
    rest, test = stratified(every.kind, _TEST_SHARE, classes, "shapes test")
    return Found(
        name="shapes",
        layout=say("built-in shapes, drawn at {size}x{size}", size=size),
        classes=classes,
        parts={"train": images.subset(rest), "test": images.subset(test)},
    )


def _none(row: int) -> bytes:
    """Settings and version say all: sines may differ in a last bit between processors."""
    return b""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is drawn, one row a figure; lengths are shares of the side of the image."""

    number: Int64Array  # (N,) which figure of the endless sequence
    kind: Int64Array  # (N,) its class
    centre: Floats  # (N, 2) x, y
    radius: Floats  # (N,)
    angle: Floats  # (N,) in radians
    colour: Floats  # (N, 3) RGB in 0..1
    ground: Floats  # (N, 3) RGB in 0..1, what it lies on

    def __len__(self) -> int:
        return len(self.number)

    def __getitem__(self, rows: slice | Int64Array) -> Figures:
        return Figures(**{name: values[rows] for name, values in vars(self).items()})


def figures(count: int, *, num_classes: int = 6) -> Figures:
    """The first `count` figures of the sequence, classes in turn.

    >>> figures(4, num_classes=3).kind
    array([0, 1, 2, 0])
    """
    number = np.arange(count)
    radius = 0.16 + 0.2 * _drawn(number, "radius")
    room = 1 - 2 * radius  # the whole figure lies inside
    place = np.stack([_drawn(number, "x"), _drawn(number, "y")], 1)
    colour = np.stack([_drawn(number, f"colour {c}") for c in "rgb"], 1)
    # The ground is dark where the figure is light and light where it is dark: always to be seen.
    dark = colour.mean(1, keepdims=True) > 0.5
    tint = 0.35 * np.stack([_drawn(number, f"ground {c}") for c in "rgb"], 1)
    return Figures(
        number=number,
        kind=number % num_classes,
        centre=radius[:, None] + room[:, None] * place,
        radius=radius,
        angle=2 * np.pi * _drawn(number, "angle"),
        colour=np.where(dark, 0.5 + colour / 2, colour / 2),
        ground=np.where(dark, tint, 1 - tint),
    )


def draw(
    some: Figures, *, size: int, noise: float = 0.0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images (N, 3, size, size) in 0..255 and masks (N, size, size): how much of each pixel the
    figure covers, 255 for all of it. Edges are anti-aliased by their distance to the pixel."""
    middle = (np.arange(size, dtype=np.float64) + 0.5) / size
    x = middle[None, None, :] - some.centre[:, 0, None, None]
    y = middle[None, :, None] - some.centre[:, 1, None, None]
    cos, sin = np.cos(some.angle)[:, None, None], np.sin(some.angle)[:, None, None]
    radius = some.radius[:, None, None]
    across, along = (cos * x + sin * y) / radius, (cos * y - sin * x) / radius
    distance = np.empty_like(across)
    for number, outline in enumerate(KINDS.values()):
        mine = some.kind == number
        if mine.any():
            distance[mine] = outline(across[mine], along[mine])
    mask = np.clip(0.5 - distance * radius * size, 0, 1)[:, None]
    colour, ground = some.colour[:, :, None, None], some.ground[:, :, None, None]
    values = ground + (colour - ground) * mask
    if noise:
        every = np.arange(3 * size * size).reshape(1, 3, size, size)
        places = some.number[:, None, None, None] * every.size + every
        values = values + noise * (2 * keyed.uniform(places, "shapes", "noise", size) - 1)
    bytes_out = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return bytes_out, np.rint(255 * mask[:, 0]).astype(np.uint8)


def boxes(masks: npt.NDArray[np.uint8]) -> Int64Array:
    """The smallest box around each mask (N, H, W), as x0, y0, x1, y1 in pixels, ends excluded.

    A pixel belongs to a figure that covers half of it.

    >>> boxes(np.array([[[0, 0, 0], [0, 255, 255]]], np.uint8))
    array([[1, 1, 3, 2]])
    """
    inside = masks >= 128
    columns, lines = np.asarray(inside.any(1)), np.asarray(inside.any(2))
    return np.stack(
        [
            columns.argmax(1),
            lines.argmax(1),
            columns.shape[1] - columns[:, ::-1].argmax(1),
            lines.shape[1] - lines[:, ::-1].argmax(1),
        ],
        axis=1,
    )


def _drawn(number: Int64Array, lane: str) -> Floats:
    return keyed.uniform(number, "shapes", lane)


# Outlines: the signed distance of (x, y) from the edge, below 0 inside, of a figure of radius 1.
# Quilez, "2D distance functions" (iquilezles.org), has most of them.


def _circle(x: Floats, y: Floats) -> Floats:
    return np.hypot(x, y) - 1


def _polygon(corners: int) -> Callable[[Floats, Floats], Floats]:
    sector = 2 * np.pi / corners

    def outline(x: Floats, y: Floats) -> Floats:
        turned = np.mod(np.arctan2(y, x) + sector / 2, sector) - sector / 2
        return np.hypot(x, y) * np.cos(turned) - np.cos(sector / 2)

    return outline


def _star(x: Floats, y: Floats) -> Floats:
    """Five points: each tenth of the circle is bounded by one edge, from tip to notch."""
    sector = 2 * np.pi / 5
    turned = np.abs(np.mod(np.arctan2(y, x) + sector / 2, sector) - sector / 2)
    u, v = np.hypot(x, y) * np.cos(turned), np.hypot(x, y) * np.sin(turned)
    notch_u, notch_v = 0.42 * np.cos(sector / 2), 0.42 * np.sin(sector / 2)
    length = np.hypot(1 - notch_u, notch_v)
    return ((u - 1) * notch_v + v * (1 - notch_u)) / length


def _box(x: Floats, y: Floats, half_x: float, half_y: float) -> Floats:
    return np.maximum(np.abs(x) - half_x, np.abs(y) - half_y)


def _cross(x: Floats, y: Floats) -> Floats:
    return np.minimum(_box(x, y, 0.95, 0.3), _box(x, y, 0.3, 0.95))


def _ring(x: Floats, y: Floats) -> Floats:
    return np.abs(np.hypot(x, y) - 0.76) - 0.24


def _crescent(x: Floats, y: Floats) -> Floats:
    return np.maximum(_circle(x, y), 0.8 - np.hypot(x - 0.5, y))


def _bar(x: Floats, y: Floats) -> Floats:
    return _box(x, y, 0.95, 0.3)


KINDS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "circle": _circle,
    "square": _polygon(4),
    "triangle": _polygon(3),
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "crescent": _crescent,
    "bar": _bar,
}
