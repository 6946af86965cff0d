"""Augmentation of whole batches, each kind a leaf of this folder.

A leaf is a function `(images, keys, amount, fill) -> images` on a batch (N, C, H, W), uint8 or
normalised float32. What it draws comes from `keys`, so a sample is augmented in the same way
whatever batch it stands in. Its options class has one field, named like the leaf: the value of
`aug.NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor

from netwright.augment.keys import Keys
from netwright.core import config
from netwright.core.config import show
from netwright.core.registry import Registry

Fill: TypeAlias = float | Tensor
"""What stands where an image ends: one number, or one for each channel (C,)."""

AUGMENTATIONS: Registry[Callable[[Tensor, Keys, Any, Fill], Tensor]] = Registry(
    "augmentation", "netwright.augment", listing="netwright ls augmentations"
)
"""Fact of a leaf: `order`, its place among the others."""


class Augmentation:
    """The augmentations of one run, applied one after the other.

    `values` are the settings under `aug.`, without that prefix; one that is none, false or 0
    is off. Raises `UnknownNameError` or `SettingError`. False when nothing is on.

    >>> augmentation = Augmentation({"shift": 2, "flip": True, "crop": 0})
    >>> augmentation.describe(), bool(augmentation), bool(Augmentation({}))
    ('flip, shift 2', True, False)
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        chosen = []
        for name, value in values.items():
            entry = AUGMENTATIONS.get(name)
            if value is None or value is False or entry.options is None:
                continue
            made: Any = config.build(entry.options, {_field(entry.options): value}, prefix="aug.")
            amount = getattr(made, _field(entry.options))
            if amount:
                chosen.append((entry.facts["order"], entry.name, entry.target, amount))
        self._chosen = sorted(chosen, key=lambda each: each[:2])

    def __call__(self, images: Tensor, keys: Keys, *, fill: Fill = 0.0) -> Tensor:
        """`images` (N, C, H, W) augmented, in new memory; N keys, one for each image."""
        for _, _, apply, amount in self._chosen:
            images = apply(images, keys, amount, fill)
        return images

    def describe(self) -> str:
        """What is done, in order; the same in every language, for it is what one writes."""
        names = [
            name if amount is True else f"{name} {show(amount)}"
            for _, name, _, amount in self._chosen
        ]
        return ", ".join(names)

    def __bool__(self) -> bool:
        return bool(self._chosen)


def _field(options: type) -> str:
    return config.settings_of(options)[0].name
