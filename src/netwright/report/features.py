"""What a network looks for, taken from arrays of unknown origin: filters and feature maps.

An array that is not of the kind it should be counts as missing; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netwright.records.arrays import Array
from netwright.report.evidence import images_in, integers_in
from netwright.report.words import share, short

_MOST_FILTERS = 64
_MOST_LAYERS = 6
_MOST_MAPS = 16
_LONGEST_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One image that was looked at: (h, w, 3) uint8, what it is, what the network said."""

    image: Array
    target: int | None
    pred: int | None
    probability: float | None


@dataclass(frozen=True, kw_only=True)
class LayerMaps:
    """The strongest feature maps of one layer: for each image (K, h, w) uint8, 128 is
    zero, and the numbers of the K channels."""

    layer: str
    shape: tuple[int, ...]
    tiles: tuple[Array, ...]
    channels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Features:
    """`filters` are (N, h, w, 3) uint8 tiles at the end, `started` the same at the start."""

    filters: Array
    started: Array | None
    layer: str
    shape: tuple[int, ...]
    images: tuple[Looked, ...]
    maps: tuple[LayerMaps, ...]


def features_in(arrays: Mapping[str, Array]) -> Features | None:
    """The content of `evidence/features.npz`; None when it is not there."""
    filters = _tiles(arrays.get("filters"))
    if filters is None:
        return None
    started = _tiles(arrays.get("filters_start"))
    shape = integers_in(arrays, "filter_shape")
    images = _images(arrays)
    return Features(
        filters=filters,
        started=started if started is not None and started.shape == filters.shape else None,
        layer=_name(arrays.get("filter_layer")),
        shape=tuple(shape) if len(shape) == 4 and min(shape) > 0 else (),
        images=images,
        maps=tuple(
            found
            for place in range(_MOST_LAYERS)
            for found in [_maps(arrays, place, len(images))]
            if found is not None
        ),
    )


def _images(arrays: Mapping[str, Array]) -> tuple[Looked, ...]:
    target, pred = integers_in(arrays, "image_target"), integers_in(arrays, "image_pred")
    sure = arrays.get("image_probability")
    if sure is None or sure.ndim != 1 or sure.dtype.kind != "f":
        sure = np.zeros(0)
    return tuple(
        Looked(
            image=image,
            target=target[i] if i < len(target) else None,
            pred=pred[i] if i < len(pred) else None,
            probability=share(float(sure[i])) if i < len(sure) else None,
        )
        for i, image in enumerate(images_in(arrays, "images")[:2])
    )


def _maps(arrays: Mapping[str, Array], place: int, images: int) -> LayerMaps | None:
    tiles, channels = arrays.get(f"maps_{place}"), arrays.get(f"channels_{place}")
    names, shapes = arrays.get("map_layer"), arrays.get("map_shape")
    if tiles is None or tiles.ndim != 4 or tiles.dtype != np.uint8 or not images:
        return None
    if len(tiles) < images or not all(0 < side <= _LONGEST_SIDE for side in tiles.shape[2:]):
        return None
    if channels is None or channels.dtype.kind not in "iu" or channels.shape != tiles.shape[1:2]:
        return None
    if names is None or names.ndim != 1 or names.dtype.kind != "U" or place >= len(names):
        return None
    known = shapes is not None and shapes.ndim == 2 and shapes.dtype.kind in "iu"
    return LayerMaps(
        layer=short(str(names[place]), 60),
        shape=tuple(int(each) for each in shapes[place])
        if known and shapes is not None and place < len(shapes)
        else (),
        tiles=tuple(each[:_MOST_MAPS] for each in tiles[:images]),
        channels=tuple(int(each) for each in channels[:_MOST_MAPS]),
    )


def _tiles(array: Array | None) -> Array | None:
    if array is None or array.ndim != 4 or array.dtype != np.uint8 or array.shape[-1] != 3:
        return None
    if not all(0 < side <= _LONGEST_SIDE for side in array.shape[1:3]):
        return None
    return array[:_MOST_FILTERS]


def _name(array: Array | None) -> str:
    if array is None or array.size != 1 or array.dtype.kind != "U":
        return ""
    return short(str(array.reshape(()).item()), 60)
