"""Integer moves of a whole batch: a window of the padded image, at its own place in each."""

from __future__ import annotations

import torch
from torch import Tensor

from netwright.augment import Fill
from netwright.augment.keys import Keys
from netwright.core.errors import SettingError


def moved(images: Tensor, keys: Keys, reach: int, fill: Fill, *, name: str) -> Tensor:
    """Each image moved by up to `reach` pixels both ways, `fill` where it came from.

    (N, C, H, W) -> (N, C, H, W). Every one of the (2 reach + 1)^2 moves is equally likely.
    Raises `SettingError` where an image could leave its frame.
    """
    count, channels, height, width = images.shape
    if reach >= min(height, width):
        raise SettingError(
            "aug.{name}: {reach} pixels are too many for images of {height}x{width}.",
            name=name,
            reach=reach,
            height=height,
            width=width,
        )
    down = torch.from_numpy(keys.integers(0, 2 * reach, f"{name}-y"))
    right = torch.from_numpy(keys.integers(0, 2 * reach, f"{name}-x"))
    padded = images.new_empty((count, channels, height + 2 * reach, width + 2 * reach))
    padded[:] = fill.to(padded)[:, None, None] if isinstance(fill, Tensor) else fill
    padded[:, :, reach : reach + height, reach : reach + width] = images
    # Every window as a view, (N, C, moves down, moves right, H, W); indexing then copies one of
    # them for each image. Measured against index arithmetic over all pixels: 3 times faster.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(count), :, down, right]
