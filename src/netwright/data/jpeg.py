"""JPEG bytes to pixels through libjpeg-turbo's own interface, in two thirds of Pillow's time.

Both decode with libjpeg-turbo, so the pixels are the same, bit for bit; Pillow's take a longer way,
through rows of four bytes a pixel. What this reader does not know, or finds fault with, it leaves
to Pillow, which alone decides whether a file can be read.
"""

from __future__ import annotations

import os
from typing import IO

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

FORMATS = frozenset(("JPEG", "MPO"))
"""Pillow's names for what holds JPEG; an MPO (of many phones) begins with the photo itself."""
_SCALES = (8, 4, 2)
_COLOURS = {"L": "GRAY", "RGB": "RGB"}
_MOST_BYTES = 1 << 26
_LEAST_SIDE = 16
"""Of fewer pixels a half and three eighths can be the same, and the decoder would choose."""


def scale_for(stored: tuple[int, int], wanted: tuple[int, int]) -> int:
    """1, 2, 4 or 8: by how much (W, H) can be divided without going below (W, H) `wanted`."""
    room = min(stored[0] // wanted[0], stored[1] // wanted[1])
    return next((scale for scale in _SCALES if room >= scale), 1)


def read_jpeg(file: IO[bytes], image: Image.Image, scale: int) -> NDArray[np.uint8] | None:
    """The pixels (H, W) or (H, W, 3) at 1/`scale` of the size, as they are stored.

    `image` is `file` as Pillow opened it, not decoded. None where it is Pillow's turn.
    """
    colours = _COLOURS.get(image.mode)
    if colours is None or image.format not in FORMATS or min(image.size) < _LEAST_SIDE:
        return None
    if file.seek(0, os.SEEK_END) > _MOST_BYTES:
        return None
    file.seek(0)
    content = file.read()
    width, height = (-(-side // scale) for side in image.size) if scale > 1 else (0, 0)
    try:
        # The size that Pillow's limits were held against must be the one that is decoded.
        stored = simplejpeg.decode_jpeg_header(content)[:2]
        if stored != (image.height, image.width):
            return None
        pixels = simplejpeg.decode_jpeg(content, colours, min_width=width, min_height=height)
    except ValueError:
        return None
    return pixels[:, :, 0] if colours == "GRAY" else pixels


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """`pixels` (H, W, ...) as an EXIF `orientation` of 1 to 8 says they are shown."""
    if 5 <= orientation <= 8:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
