"""How images are to be prepared, from what the hub of transformers and timm lays beside weights.

`preprocessor_config.json` (transformers) has `image_mean` and `image_std`, `config.json` of timm a
`pretrained_cfg` with `mean`, `std` and `input_size`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Images:
    """Mean and deviation of each channel for values 0 to 1, and (height, width) if said."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None
    file: str


def images_beside(path: Path) -> Images | None:
    """What a file beside the weights `path` says of their images; None where none says it.

    A file that is damaged, or says something impossible, counts as not there.
    """
    for name, read in (("preprocessor_config.json", _transformers), ("config.json", _timm)):
        try:
            file = path.parent / name
            if not file.is_file() or file.stat().st_size > _MOST_BYTES:
                continue
            facts = json.loads(file.read_text(encoding="utf-8"))
            found = read(facts) if isinstance(facts, Mapping) else None
        except (OSError, ValueError, RecursionError):
            continue
        if found is not None:
            mean, std, size = found
            return Images(mean=mean, std=std, size=size, file=name)
    return None


_Found = tuple[tuple[float, ...], tuple[float, ...], tuple[int, int] | None]


def _transformers(facts: Mapping[str, Any]) -> _Found | None:
    mean, std = _values(facts.get("image_mean")), _values(facts.get("image_std"))
    if facts.get("do_normalize") is False or not _are_sound(mean, std):
        return None
    size: Any = facts.get("crop_size") or facts.get("size")
    if isinstance(size, Mapping):
        size = [size.get("height"), size.get("width")]
    elif isinstance(size, int):
        size = [size, size]
    return mean, std, _sides(size)


def _timm(facts: Mapping[str, Any]) -> _Found | None:
    own = facts.get("pretrained_cfg", facts)
    if not isinstance(own, Mapping):
        return None
    mean, std, size = _values(own.get("mean")), _values(own.get("std")), own.get("input_size")
    if not _are_sound(mean, std):
        return None
    return mean, std, _sides(size[1:] if isinstance(size, list) else None)


def _values(given: Any) -> tuple[float, ...]:
    numbers = given if isinstance(given, list) else []
    if not all(isinstance(e, int | float) and math.isfinite(e) for e in numbers):
        return ()
    return tuple(float(each) for each in numbers)


def _are_sound(mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    return len(mean) == len(std) > 0 and all(each > 0 for each in std)


def _sides(given: Any) -> tuple[int, int] | None:
    if not isinstance(given, list) or len(given) != 2:
        return None
    height, width = given
    if not all(type(each) is int and 0 < each <= 4096 for each in (height, width)):
        return None
    return height, width
