"""Pictures of what each augmentation does, drawn once at the start of a run for its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment.keys import Keys
from netwright.augment.pairs import Pairs
from netwright.core.atomic import make_folder, write_bytes
from netwright.core.config import settings_of
from netwright.data.dataset import Images, UnreadableImageError
from netwright.data.preprocessing import Preprocessing
from netwright.tasks.evaluation import pack, thumbnail

# Images looked for, and those of them that each augmentation is shown on.
IMAGES = 4
SHOWN = 2
MIXED = 3
LONGEST = 80

# Pictures in all, so that the page stays small with many augmentations.
_PICTURES = 120
_MOST_DRAWS = 5
_TRIED = 32


def show_augmentations(
    folder: Path,
    values: Mapping[str, Any],
    images: Images,
    *,
    preprocessing: Preprocessing,
    seed: int,
) -> None:
    """Write `samples/augmentations.npz`: some training images, and each augmentation of `values`
    (the settings under `aug.`) alone on them, in draws of the first epochs that differ.

    - `images` (K, h, w, 3) and `target` (K,): what was stored;
    - `names`, `amounts` and `docs` (A,): what is on, in its order;
    - `draws-a` (D, h, w, 3) and `of-a` (D,): draws, and the image each is of; of one that mixes
      images `first-a` and `second-a` (D,) in its place, which images went into it, and
      `share-a` (D,), how much of it is the first.

    Nothing is written when nothing is on, or no image can be read.
    """
    active = [
        (name, Augmentation({name: value}, mean=preprocessing.mean, std=preprocessing.std))
        for name, value in values.items()
    ]
    active = sorted(
        ((name, each) for name, each in active if each),
        key=lambda pair: (AUGMENTATIONS.get(pair[0]).facts["order"], pair[0]),
    )
    index = _of_different_classes(images)
    if not active or not index:
        return
    stored = torch.stack([images.read(i) for i in index])
    entries = [AUGMENTATIONS.get(name) for name, _ in active]
    content: dict[str, npt.NDArray[Any]] = {
        "images": _pictures(_shown(stored, preprocessing)),
        "target": images.labels[index],
        "names": np.array([entry.name for entry in entries]),
        "amounts": np.array(
            [
                _amount(entry.options, values[name])
                for entry, (name, _) in zip(entries, active, strict=True)
            ]
        ),
        "docs": np.array([entry.doc for entry in entries]),
    }
    draws = min(_MOST_DRAWS, max(2, _PICTURES // (SHOWN * len(active))))
    for number, (_, augmentation) in enumerate(active):
        if augmentation.mixing is None:
            parts = _drawn(augmentation, stored, index, preprocessing, seed, draws)
        else:
            parts = _mixed(augmentation, preprocessing(stored), preprocessing, seed)
        content |= {f"{name}-{number}": part for name, part in parts.items()}
    make_folder(folder / "samples")
    write_bytes(folder / "samples" / "augmentations.npz", pack(content))


def _of_different_classes(images: Images) -> list[int]:
    """The first readable images, of as many classes as there are."""
    _, firsts = np.unique(images.labels, return_index=True)
    others = np.setdiff1d(np.arange(min(len(images), _TRIED)), firsts)
    found: list[int] = []
    for i in [*sorted(firsts.tolist()), *others.tolist()][:_TRIED]:
        if len(found) == IMAGES:
            break
        try:
            images.read(i)
        except UnreadableImageError:
            continue
        found.append(i)
    return found


def _amount(options: Any, value: Any) -> str:
    """The value as one writes it: 15 for 15.0."""
    made = getattr(options(**{settings_of(options)[0].name: value}), settings_of(options)[0].name)
    return "true" if made is True else f"{made:g}"


def _drawn(
    augmentation: Augmentation,
    stored: Tensor,
    index: list[int],
    preprocessing: Preprocessing,
    seed: int,
    draws: int,
) -> dict[str, npt.NDArray[Any]]:
    """Of each of the first images up to `draws` pictures that differ from it and each other: a
    flip that happens to do nothing five times tells nobody what a flip is."""
    seen = stored[:SHOWN]
    if seen.dtype != torch.uint8:  # floats are augmented normalised, as the feed does it
        seen = preprocessing(seen)
    keys = np.array(index[:SHOWN])
    different: list[list[Tensor]] = [[] for _ in seen]
    for epoch in range(_TRIED):
        if all(len(each) == draws for each in different):
            break
        made = augmentation(seen, Keys(seed, epoch, keys))
        for image, drawn, found in zip(seen, made, different, strict=True):
            new = not any(torch.equal(drawn, old) for old in (image, *found))
            if new and len(found) < draws:
                found.append(drawn)
    # What never changes an image (hue a grey one) is shown by the image itself.
    chosen = [found or [image] for image, found in zip(seen, different, strict=True)]
    pictures = [each for found in chosen for each in found]
    of = [n for n, found in enumerate(chosen) for _ in found]
    together = torch.stack(pictures)
    shown = together if together.dtype == torch.uint8 else preprocessing.undo(together)
    return {"draws": _pictures(shown), "of": np.array(of, dtype=np.int64)}


def _mixed(
    augmentation: Augmentation, normal: Tensor, preprocessing: Preprocessing, seed: int
) -> dict[str, npt.NDArray[Any]]:
    """Images mixed two by two, each the first of a pair once."""
    pictures: list[Tensor] = []
    pairs: list[tuple[int, int]] = []
    shares: list[float] = []
    for step in range(_TRIED):
        first = len(pairs)
        if first == min(MIXED, len(normal)):
            break
        second = int(Pairs(seed, step, len(normal)).partner[first])
        if first != second:
            mixture = augmentation.mix(normal, seed, step)
            pictures.append(mixture.images[first])
            pairs.append((first, second))
            shares.append(mixture.share)
    return {
        "draws": _pictures(preprocessing.undo(torch.stack(pictures)) if pictures else normal[:0]),
        "first": np.array([n for n, _ in pairs], dtype=np.int64),
        "second": np.array([p for _, p in pairs], dtype=np.int64),
        "share": np.array(shares, dtype=np.float64),
    }


def _shown(stored: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Stored images as bytes."""
    return stored if stored.dtype == torch.uint8 else preprocessing.undo(preprocessing(stored))


def _pictures(images: Tensor) -> npt.NDArray[np.uint8]:
    made = [thumbnail(each, longest=LONGEST) for each in images]
    return np.stack(made) if made else np.zeros((0, 1, 1, 3), dtype=np.uint8)
