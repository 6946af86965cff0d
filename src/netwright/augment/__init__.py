"""Augmentation of whole batches, each kind a leaf of this folder.

A leaf is a function `(images, keys, amount, fill) -> images` on a batch (N, C, H, W), uint8 or
normalised float32. What it draws comes from `keys`, so a sample is augmented in the same way
whatever batch it stands in. Its options class has one field, named like the leaf: the value of
`aug.NAME`.

A leaf that mixes images with each other is `(images, pairs, amount, fill) -> (images, share)`
instead: see `netwright.augment.pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.augment.keys import Keys
from netwright.augment.pairs import Pairs
from netwright.core import config
from netwright.core.config import show
from netwright.core.registry import Entry, Registry

Fill: TypeAlias = float | Tensor
"""What stands where an image ends: one number, or one for each channel (C,)."""

AUGMENTATIONS: Registry[Callable[..., Any]] = Registry(
    "augmentation", "netwright.augment", listing="netwright ls augmentations"
)
"""Facts of a leaf:

- `order`, its place among the others;
- `join` and `part`: leaves that stand together and share a `join` are done in one go, by
  `join(images, keys, [(part, amount), ...], fill)`: one resampling, one colour matrix;
- `pixels`: it works on the values that were stored, 0..255, or 0..1 in float images;
- `pairs`: it mixes images, and their labels, with each other.
"""


class Mixture(NamedTuple):
    """Images (N, C, H, W) that are mixed with those at `partner` (N,) of the same batch; `share`
    says how much of each is its own."""

    images: Tensor
    partner: npt.NDArray[np.int64]
    share: float


Mix: TypeAlias = Callable[[Tensor, int, int], Mixture]
"""What mixes the images of training batch `step` of a run: `(images, seed, step)`."""


class Augmentation:
    """The augmentations of one run, applied one after the other.

    `values` are the settings under `aug.`, without that prefix; one that is none, false or 0
    is off. `mean` and `std` say how float images were normalised; bytes need neither. Raises
    `UnknownNameError` or `SettingError`. False when nothing is on.

    >>> augmentation = Augmentation({"shift": 2, "flip": True, "crop": 0})
    >>> augmentation.describe(), bool(augmentation), bool(Augmentation({}))
    ('flip, shift 2', True, False)
    """

    def __init__(
        self, values: Mapping[str, Any], *, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        chosen = []
        for name, value in values.items():
            entry = AUGMENTATIONS.get(name)
            if value is None or value is False or entry.options is None:
                continue
            made: Any = config.build(entry.options, {_field(entry.options): value}, prefix="aug.")
            amount = getattr(made, _field(entry.options))
            if amount:
                chosen.append(_chosen(entry, amount))
        self._chosen = sorted(chosen, key=lambda each: (each.order, each.name))
        self._groups = _groups([each for each in self._chosen if not each.pairs])
        self._ways = [each for each in self._chosen if each.pairs]
        self._normal = (tuple(mean), tuple(std)) if any(mean) or set(std) - {1.0} else None

    def __call__(self, images: Tensor, keys: Keys, *, fill: Fill = 0.0) -> Tensor:
        """`images` (N, C, H, W) augmented, in new memory; N keys, one for each image."""
        for group in self._groups:
            if group[0].pixels and images.is_floating_point() and self._normal is not None:
                mean, std = (images.new_tensor(each).view(-1, 1, 1) for each in self._normal)
                stored = images * std + mean
                border = torch.as_tensor(fill).to(std).view(-1, 1, 1) * std + mean
                images = (_applied(group, stored, keys, border.flatten()) - mean) / std
            else:
                images = _applied(group, images, keys, fill)
        return images

    @property
    def mixing(self) -> Mix | None:
        """What mixes the images of a batch with each other, None when nothing does."""
        return self.mix if self._ways else None

    def mix(self, images: Tensor, seed: int, step: int) -> Mixture:
        """The images of training batch `step`, mixed; of several ways a batch gets one."""
        pairs = Pairs(seed, step, len(images))
        way = self._ways[pairs.integer(len(self._ways), "way")]
        mixed, share = way.target(images, pairs, way.amount, 0.0)
        return Mixture(mixed, pairs.partner, share)

    def describe(self) -> str:
        """What is done, in order; the same in every language, for it is what one writes."""
        names = [
            each.name if each.amount is True else f"{each.name} {show(each.amount)}"
            for each in self._chosen
        ]
        return ", ".join(names)

    def __bool__(self) -> bool:
        return bool(self._chosen)


class _Chosen(NamedTuple):
    """A leaf that is on, and what is needed of its facts: those cannot be pickled."""

    order: int
    name: str
    target: Callable[..., Any]
    amount: Any
    join: Callable[..., Tensor] | None
    part: Callable[..., Any] | None
    pixels: bool
    pairs: bool


def _chosen(entry: Entry[Callable[..., Any]], amount: Any) -> _Chosen:
    facts = entry.facts
    return _Chosen(
        order=facts["order"],
        name=entry.name,
        target=entry.target,
        amount=amount,
        join=facts.get("join"),
        part=facts.get("part"),
        pixels=bool(facts.get("pixels")),
        pairs=bool(facts.get("pairs")),
    )


def _groups(chosen: Sequence[_Chosen]) -> list[list[_Chosen]]:
    """Neighbours with one `join` together, every other leaf on its own."""
    groups: list[list[_Chosen]] = []
    for each in chosen:
        if groups and each.join is not None and groups[-1][0].join is each.join:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _applied(group: Sequence[_Chosen], images: Tensor, keys: Keys, fill: Fill) -> Tensor:
    first = group[0]
    if first.join is None:
        return first.target(images, keys, first.amount, fill)
    return first.join(images, keys, [(each.part, each.amount) for each in group], fill)


def _field(options: type) -> str:
    return config.settings_of(options)[0].name
