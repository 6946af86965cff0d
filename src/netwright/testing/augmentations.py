"""What a registered augmentation owes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.augment.keys import Keys
from netwright.augment.pairs import Pairs
from netwright.core.config import settings_of
from netwright.core.errors import SettingError
from netwright.core.registry import Entry
from netwright.testing.options import check_options

_COUNT = 32

# (N, C, H, W): one image, one pixel, one row, no image, many channels, upright and lying.
_SHAPES = ((1, 3, 9, 8), (2, 1, 1, 1), (2, 3, 1, 7), (0, 3, 5, 5), (3, 5, 12, 6), (3, 2, 5, 30))


def check_augmentation(entry: Entry[Callable[..., Any]], *, amount: Any = None) -> None:
    """Hold a leaf of `netwright.augment.AUGMENTATIONS` against its contract.

    `amount` is a value at which it does something: without it true, 2 or 0.5, by its type.

    - its options class has one setting, named like the leaf, off by default;
    - shape and type stay, for uint8 and float32, any shape (one too small may be refused by a
      `SettingError`), and the batch it is given is not written to;
    - the same key gives the same bits, and another seed or epoch gives others;
    - a sample's augmentation is its own: alone, or in another order, it is the same;
    - of a leaf that mixes images (fact `pairs`) instead: the share is in [0, 1], and where an
      image and its partner are the same, nothing changes.
    """
    assert entry.options is not None, f"{entry.name} has no options class"
    settings = settings_of(entry.options)
    assert [each.name for each in settings] == [entry.name.replace("-", "_")], (
        f"the options of {entry.name} have to be one setting of that name"
    )
    assert not settings[0].default, f"{entry.name} is on by default"
    assert "order" in entry.facts, f"{entry.name} does not say its order"
    check_options(entry.options, prefix="aug.")
    chosen = amount if amount is not None else {bool: True, int: 2}.get(settings[0].annotation, 0.5)
    check = _check_mixture if entry.facts.get("pairs") else _check_images
    for dtype in (torch.uint8, torch.float32):
        check(entry, chosen, dtype)
        for shape in _SHAPES:
            _check_shape(entry, chosen, _images(shape, dtype))


def _images(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, generator=generator).to(dtype)
    return images / 255 if dtype.is_floating_point else images


def _check_shape(entry: Entry[Any], amount: Any, images: Tensor) -> None:
    count = len(images)
    draws = Pairs(0, 1, count) if entry.facts.get("pairs") else Keys(0, 1, np.arange(count))
    try:
        out = entry.target(images, draws, amount, torch.zeros(images.shape[1]))
    except SettingError:
        return  # said to the user: too far for images as small as these
    out = out[0] if entry.facts.get("pairs") else out
    assert (out.shape, out.dtype) == (images.shape, images.dtype), (
        f"{entry.name} makes {tuple(out.shape)} {out.dtype} of {tuple(images.shape)} {images.dtype}"
    )


def _check_mixture(entry: Entry[Any], amount: Any, dtype: torch.dtype) -> None:
    images = _images((_COUNT, 3, 9, 8), dtype)
    before = images.clone()
    made = [
        entry.target(images, Pairs(seed, step, _COUNT), amount, 0.0)
        for seed, step in ((0, 1), (0, 1), (1, 1), (0, 2))
    ]
    (out, _), (again, _), *others = made
    assert torch.equal(images, before), f"{entry.name} writes into the batch it is given"
    assert torch.equal(out, again), f"{entry.name} is not a function of its key"
    assert all(0 <= each <= 1 for _, each in made), f"{entry.name} gives a share outside [0, 1]"
    for name, (other, _) in zip(("seed", "step"), others, strict=True):
        assert not torch.equal(out, other), f"{entry.name} is the same for every {name}"
    same, _ = entry.target(images[:1].repeat(4, 1, 1, 1), Pairs(0, 1, 4), amount, 0.0)
    assert torch.allclose(same, images[:1].expand_as(same)), (
        f"{entry.name} of an image with itself is another image"
    )


def _check_images(entry: Entry[Any], amount: Any, dtype: torch.dtype) -> None:
    images = _images((_COUNT, 3, 9, 8), dtype)
    before = images.clone()
    index = np.arange(100, 100 + _COUNT)

    def apply(images: Tensor, index: Any, *, seed: int = 0, epoch: int = 1) -> Tensor:
        return entry.target(images, Keys(seed, epoch, index), amount, 0.0)

    out = apply(images, index)
    assert (out.shape, out.dtype) == (images.shape, dtype), (
        f"{entry.name} makes {tuple(out.shape)} {out.dtype} of {tuple(images.shape)} {dtype}"
    )
    assert torch.equal(images, before), f"{entry.name} writes into the batch it is given"
    assert torch.equal(out, apply(images, index)), f"{entry.name} is not a function of its key"
    alone = apply(images[7:8], index[7:8])
    assert torch.equal(out[7:8], alone), f"{entry.name} augments a sample alone differently"
    turned = apply(images.flip(0), index[::-1].copy())
    assert torch.equal(out, turned.flip(0)), f"{entry.name} depends on the order of the batch"
    for name, other in {
        "seed": apply(images, index, seed=1),
        "epoch": apply(images, index, epoch=2),
    }.items():
        assert not torch.equal(out, other), f"{entry.name} is the same for every {name}"
