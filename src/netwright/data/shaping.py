"""One shape for a whole set: which channels and size, and bringing tensors to it.

The rule for `size: auto`: the size that nine images of ten share, if no side of it is over 256;
else a square with the median of the short sides, but no more than 224: small images are not blown
up for the sake of a few large ones. Channels: 1 if every image is grey, else 3.
"""

from __future__ import annotations

import statistics
from collections import Counter
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
MOSTLY = 0.9
USUAL = 224

Shape = tuple[int, int, int]


def common_shape(
    parts: Iterable[Images], *, size: int | None, channels: int | None
) -> tuple[Shape, list[Noted]]:
    """The (C, H, W) that every image of `parts` is brought to, and what to tell the user."""
    sizes: Counter[tuple[int, int]] = Counter()
    deepest = 1
    for images in parts:
        if isinstance(images, FileImages):
            sizes.update(file.header.size for file in images.files)
            grey = all(file.header.grey for file in images.files)
            deepest = max(deepest, 1 if grey else 3)
        else:
            sizes[images.shape[1:]] += len(images)
            deepest = max(deepest, images.shape[0])
    depth = channels or deepest
    if size is not None:
        return (depth, size, size), []
    ((common, count),) = sizes.most_common(1)
    total = sizes.total()
    if count >= MOSTLY * total and max(common) <= LARGEST_KEPT:
        if count == total:
            return (depth, *common), []
        note = Noted(
            word="NOTE",
            template="{count} of {total} images are {height}x{width}: the others are brought to "
            "that, scaled to cover it and the centre cut out (data.size).",
            values={"count": count, "total": total, "height": common[0], "width": common[1]},
        )
        return (depth, *common), [note]
    sides = [side for each in sizes for side in each]
    size = min(USUAL, statistics.median_low(min(each) for each in sizes.elements()))
    note = Noted(
        word="NOTE",
        template="The images have sides of {low} to {high} pixels: the short side is brought to "
        "{size} and the centre cut out (data.size).",
        values={"low": min(sides), "high": max(sides), "size": size},
    )
    return (depth, size, size), [note]


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
