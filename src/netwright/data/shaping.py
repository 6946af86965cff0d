"""One shape for a whole set: which channels and size, and bringing tensors to it.

The rule for `size: auto`: the common size if all images agree and no side is over 256, else 224
by 224. Channels: 1 if every image is grey, else 3.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.core.errors import DataError
from netwright.core.events import Noted
from netwright.data.dataset import Images, MemoryImages
from netwright.data.files import FileImages
from netwright.data.reading import cover, plain, to_picture, to_tensor

LARGEST_KEPT = 256
USUAL = 224

Shape = tuple[int, int, int]


def common_shape(
    parts: Iterable[Images], *, size: int | None, channels: int | None
) -> tuple[Shape, list[Noted]]:
    """The (C, H, W) that every image of `parts` is brought to, and what to tell the user."""
    sizes: set[tuple[int, int]] = set()
    deepest = 1
    for images in parts:
        if isinstance(images, FileImages):
            sizes |= {file.header.size for file in images.files}
            grey = all(file.header.grey for file in images.files)
            deepest = max(deepest, 1 if grey else 3)
        else:
            sizes.add(images.shape[1:])
            deepest = max(deepest, images.shape[0])
    depth = channels or deepest
    if size is not None:
        return (depth, size, size), []
    if len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_KEPT:
        return (depth, *next(iter(sizes))), []
    sides = [side for each in sizes for side in each]
    note = Noted(
        word="NOTE",
        template="The images have sides of {low} to {high} pixels: the short side is brought to "
        "{size} and the centre cut out (data.size).",
        values={"low": min(sides), "high": max(sides), "size": USUAL},
    )
    return (depth, USUAL, USUAL), [note]


def shaped(images: Images, shape: Shape) -> Images:
    """`images` in `shape`, by the same filter whether they come from files or from a tensor."""
    if isinstance(images, FileImages):
        return images.shaped(shape[0], shape[1:])
    if isinstance(images, MemoryImages) and images.shape != shape:
        convert = _bytes if images.pool.dtype == torch.uint8 else _floats
        return images.replaced(convert(images.pool, shape))
    if images.shape != shape:
        raise DataError(
            "The streamed images are {given}, but {wanted} is wanted.",
            hint="Give them that shape in the data set itself, or hold them with "
            "data.cache=memory.",
            given="x".join(map(str, images.shape)),
            wanted="x".join(map(str, shape)),
        )
    return images


def _bytes(pool: Tensor, shape: Shape) -> Tensor:
    if pool.shape[1] not in (1, 3):  # not a picture; Pillow has no mode for it
        return _floats(pool.to(torch.float32), shape).round_().clamp_(0, 255).to(torch.uint8)
    out = torch.empty(len(pool), *shape, dtype=torch.uint8)
    for row, pixels in enumerate(pool):
        out[row] = to_tensor(cover(plain(to_picture(pixels), shape[0]), shape[1:]))
    return out


def _floats(pool: Tensor, shape: Shape) -> Tensor:
    channels, height, width = shape
    if channels == 3 and pool.shape[1] == 1:
        pool = pool.expand(-1, 3, -1, -1)
    elif channels == 1 and pool.shape[1] == 3:  # the weights of ITU-R 601, as Pillow has them
        pool = (pool * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    scale = max(height / pool.shape[2], width / pool.shape[3])
    if scale != 1:
        between = [max(round(side * scale), least) for side, least in
                   zip(pool.shape[2:], (height, width), strict=True)]  # fmt: skip
        pool = F.interpolate(
            pool, size=between, mode="bilinear", align_corners=False, antialias=True
        )
    top, left = (pool.shape[2] - height) // 2, (pool.shape[3] - width) // 2
    return pool[:, :, top : top + height, left : left + width].contiguous()
