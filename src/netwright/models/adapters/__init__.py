"""Weights from elsewhere, brought into the networks of this package: one file for each source.

An adapter builds the network its weights were trained in, with the options they need, undoes
what was done to them for storage, and says how images must be prepared. They are functions, not
leaves: a recipe names a network, an adapter is called.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A network with the weights of others, in evaluation mode, and the images it expects.

    An image is resized until its short side has `short_side` pixels, and its middle of `size`
    (height, width) is taken; `mean` and `std` are those of RGB values between 0 and 1.
    """

    module: nn.Module
    short_side: int
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) of RGB values 0 to 255 as the network expects them."""
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (self.mean, self.std))
        return (images.float() / 255 - mean) / std

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, 3, H, W) of RGB values 0 to 255."""
        logits: Tensor = self.module(self.normalise(images))
        return logits
