"""What a network is called with: tensors as they are, and shapes in place of samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netwright.core.errors import SettingError


def with_samples(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`args` with each tuple (or `torch.Size`) of ints, which is the shape of one sample, made
    into a batch of one on the meta device. All else goes to the network as it is.

    Raises `SettingError` for a shape with a size below one.

    >>> with_samples(((3, 224, 224),))[0].shape
    torch.Size([1, 3, 224, 224])
    >>> with_samples((torch.ones(2), [3, 4], None))[1:]
    ([3, 4], None)
    """
    return tuple(_sample(each) if is_shape(each) else each for each in args)


def is_shape(value: Any) -> bool:
    """Whether `value` is the shape of one sample: a tuple of ints, and not an empty one."""
    return isinstance(value, tuple) and bool(value) and all(type(each) is int for each in value)


def _sample(shape: tuple[int, ...]) -> Tensor:
    if min(shape) < 1:
        raise SettingError(
            "A sample cannot have the shape {shape}.",
            hint="Sizes begin at 1, as in (3, 224, 224) for (C, H, W).",
            shape=shape,
        )
    return torch.empty((1, *shape), device="meta")
