"""Preprocessing: the one road from stored pixels to what a network sees, kept in `model.json`.

Training, evaluation and prediction all go through the same object, so they cannot differ.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netwright.core.errors import DataError

# Values that are normalised in the cache before the next are fetched: of 64 images of 128x128x3
# each takes 50 us and not 135.
_AT_ONCE = 2**18


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """`channels` (1 grey, 3 RGB), `size` (H, W), and `mean` and `std` of each channel, counted in
    units of 1 where uint8 pixels are 0..255.

    `resize` names the rule by which a file of another size is brought to `size`: `cover` scales
    it until it covers the size and cuts out the centre (see `netwright.data.reading`).

    >>> grey = Preprocessing(channels=1, size=(1, 2), mean=(0.5,), std=(0.25,))
    >>> grey(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    tensor([[[[-2.,  2.]]]])
    """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str = "cover"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, *self.size)

    @property
    def is_identity(self) -> bool:
        """Whether float images pass unchanged."""
        return not any(self.mean) and all(std == 1 for std in self.std)

    def __call__(self, images: Tensor) -> Tensor:
        """`images` (N, C, H, W) or (C, H, W), uint8 or float; a new float32 tensor of the shape.

        uint8 is taken as 0..255 and divided by 255; float values are taken as they are.
        """
        scale, shift = _scale_and_shift(
            self.mean, self.std, images.dtype == torch.uint8, images.device
        )
        if images.dtype != torch.uint8 or images.ndim != 4 or images.is_cuda:
            # `to` copies, so that in-place arithmetic never touches the stored pixels.
            return images.to(torch.float32, copy=True).mul_(scale).add_(shift)
        out = torch.empty_like(images, dtype=torch.float32)
        at_once = max(1, _AT_ONCE // max(images[:1].numel(), 1))
        for some, made in zip(images.split(at_once), out.split(at_once), strict=True):
            made.copy_(some).mul_(scale).add_(shift)
        return out

    def in_place(self, images: Tensor) -> Tensor:
        """The same for float images that nobody else holds: float32 ones are changed where they
        are, which saves a batch of new memory and a pass over it."""
        if images.dtype != torch.float32:
            return self(images)
        scale, shift = _scale_and_shift(self.mean, self.std, False, images.device)
        return images.mul_(scale).add_(shift)

    def undo(self, images: Tensor) -> Tensor:
        """Normalised (N, C, H, W) back to uint8 pictures, for people to look at."""
        scale, shift = _scale_and_shift(self.mean, self.std, True, images.device)
        pixels: Tensor = (images - shift) / scale
        return pixels.round_().clamp_(0, 255).to(torch.uint8)

    def to_json(self) -> dict[str, Any]:
        return {
            "channels": self.channels,
            "size": list(self.size),
            "mean": list(self.mean),
            "std": list(self.std),
            "resize": self.resize,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_json`; `DataError` when `values` are not what it wrote."""
        try:
            height, width = (int(side) for side in values["size"])
            made = cls(
                channels=int(values["channels"]),
                size=(height, width),
                mean=tuple(float(each) for each in values["mean"]),
                std=tuple(float(each) for each in values["std"]),
                resize=str(values["resize"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unfit(str(error)) from error
        fits = len(made.mean) == len(made.std) == made.channels and min(height, width) > 0
        # It is divided by, and both together have to be numbers of float32.
        sane = all(1e-30 < each < 1e30 for each in made.std) and all(
            -1e30 < each < 1e30 for each in made.mean
        )
        if made.channels < 1 or not fits or not sane or made.resize != "cover":
            raise _unfit(str(dict(values)))
        return made


def _unfit(reason: str) -> DataError:
    return DataError(
        "The preprocessing in model.json cannot be read: {reason}.",
        hint="Expected channels, size, mean, std and resize as a run writes them.",
        reason=reason,
    )


@functools.lru_cache(maxsize=64)
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], bytes_in: bool, device: torch.device
) -> tuple[Tensor | float, Tensor | float]:
    """One multiplication and one addition do it all: x * 1/(255 std) - mean/std."""
    unit = 255.0 if bytes_in else 1.0
    scale = [1 / (unit * each) for each in std]
    shift = [-m / s for m, s in zip(mean, std, strict=True)]
    if len(mean) == 1:  # a plain number is faster than a tensor that must be spread
        return scale[0], shift[0]
    return (
        torch.tensor(scale, device=device).view(-1, 1, 1),
        torch.tensor(shift, device=device).view(-1, 1, 1),
    )
