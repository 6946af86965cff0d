"""Small pictures inside the page: PNG or JPEG as data URIs, within one budget of bytes."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from netwright.core.escaping import html_attribute
from netwright.records.arrays import Array

# Up to this side a picture is pixel art: it is enlarged with sharp pixels and kept as PNG.
_PIXEL_ART = 48


class Allowance:
    """What one page may hold: `budget` bytes of pictures, and `rows` rows in any table.

    `image` makes `<img>` elements until the bytes are spent; `dropped` counts the others.
    """

    def __init__(self, budget: int, *, rows: int = 1000) -> None:
        self.budget = budget
        self.rows = rows
        self.dropped = 0

    def image(self, pixels: Array, *, alt: str, about: int = 84) -> str:
        """An `<img>` of `pixels`, (h, w, 3) or (h, w) uint8, about so many screen pixels high.

        "" when the budget is spent; `dropped` then counts one more.
        """
        tall, wide = pixels.shape[:2]
        side = max(tall, wide)
        sharp = side <= _PIXEL_ART
        # A whole number of screen pixels for each pixel, so that all are equally large.
        scale = max(1, round(about / side)) if sharp else about / side
        source = data_uri(pixels, sharp=sharp)
        if len(source) > self.budget:
            self.dropped += 1
            return ""
        self.budget -= len(source)
        kind = ' class="pixels"' if sharp else ""
        return (
            f'<img{kind} src="{source}" width="{max(1, round(wide * scale))}" '
            f'height="{max(1, round(tall * scale))}" alt="{html_attribute(alt)}">'
        )


def data_uri(pixels: Array, *, sharp: bool = True) -> str:
    """`pixels`, (h, w), (h, w, 3) or (h, w, 4) uint8, as a data URI."""
    if pixels.ndim == 3 and pixels.shape[2] == 3 and _is_grey(pixels):
        pixels = pixels[:, :, 0]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    if sharp:
        picture.save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        picture.save(stream, "JPEG", quality=82, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _is_grey(pixels: Array) -> bool:
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))
