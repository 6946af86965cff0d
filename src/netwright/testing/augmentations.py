"""What a registered augmentation owes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.augment import Fill
from netwright.augment.keys import Keys
from netwright.core.config import settings_of
from netwright.core.registry import Entry
from netwright.testing.options import check_options

_COUNT = 32


def check_augmentation(
    entry: Entry[Callable[[Tensor, Keys, Any, Fill], Tensor]], *, amount: Any = None
) -> None:
    """Hold a leaf of `netwright.augment.AUGMENTATIONS` against its contract.

    `amount` is a value at which it does something: without it true, 2 or 0.5, by its type.

    - its options class has one setting, named like the leaf, off by default;
    - shape and type stay, for uint8 and float32, and the batch it is given is not written to;
    - a sample's augmentation is its own: alone, or in another order, it is the same;
    - the same key gives the same bits, and another seed or epoch gives others.
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
    for dtype in (torch.uint8, torch.float32):
        _check_images(entry, chosen, dtype)


def _check_images(entry: Entry[Any], amount: Any, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_COUNT, 3, 9, 8), generator=generator).to(dtype)
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
