"""The evidence behind the report's pictures of what a network looks for: small uint8 tiles.

    samples/first-filters.npz   filters of the first convolution before the first step
    evidence/features.npz       the same at the end; feature maps of a few layers for two images

Both together stay under 150 kB, whatever the network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from netwright.core.atomic import make_folder, write_bytes
from netwright.core.errors import DataError
from netwright.data.dataset import Images, UnreadableImageError
from netwright.data.preprocessing import Preprocessing
from netwright.inspection.activations import last_at_each_size
from netwright.inspection.filters import first_convolution
from netwright.records.arrays import Array, read_arrays
from netwright.report.tiles import filter_tiles, shrunk, signed_bytes
from netwright.tasks.evaluation import pack, thumbnail
from netwright.tasks.layer_pictures import strongest

FILTERS = 64
LAYERS = 4
MAPS = 8

# Sides of a tile in pixels: 64 filters twice, 64 maps and two images come to 144 kB at most.
_FILTER_SIDE = 12
_MAP_SIDE = 32

# What a forward pass of someone's own network raises when it does not like being looked at.
_MISFITS = (
    RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError,
    UnreadableImageError,  # an image that has gone since it was evaluated
)  # fmt: skip


def write_first_filters(folder: Path, model: nn.Module) -> None:
    """The filters as they were drawn, before anything was learned; nothing without filters."""
    found = first_convolution(model)
    if found is not None:
        make_folder(folder / "samples")
        write_bytes(folder / "samples" / "first-filters.npz", pack({"filters": _tiles(found[1])}))


def write_features(
    folder: Path, model: nn.Module, images: Images, preprocessing: Preprocessing
) -> str:
    """Write `evidence/features.npz` with what `model` makes of two `images` of unlike classes.

    Returns "", or why there are no feature maps in it. Raises `ExhaustedError` when the disk is
    full.
    """
    content: dict[str, Array] = {"filters": np.zeros((0, 1, 1, 3), dtype=np.uint8)}
    found = first_convolution(model)
    if found is not None:
        name, layer = found
        content["filters"] = _tiles(layer)
        content["filter_layer"] = np.asarray(name)
        content["filter_shape"] = np.asarray(layer.weight.shape, dtype=np.int64)
        started = _read(folder / "samples" / "first-filters.npz")
        if "filters" in started and started["filters"].shape == content["filters"].shape:
            content["filters_start"] = started["filters"]
    why = ""
    if found is not None:
        try:
            content |= _maps(model, images, preprocessing)
        except _MISFITS as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    make_folder(folder / "evidence")
    write_bytes(folder / "evidence" / "features.npz", pack(content))
    return why


def _maps(model: nn.Module, images: Images, preprocessing: Preprocessing) -> dict[str, Array]:
    chosen = _two_unlike(images)
    stored = [images.read(i) for i in chosen]
    device = next(model.parameters()).device
    layers, logits = last_at_each_size(model, preprocessing(torch.stack(stored)).to(device))
    chances, pred = logits.double().softmax(1).max(1)
    shown = _spread(layers)
    content: dict[str, Array] = {
        "images": np.stack([thumbnail(each) for each in stored]),
        "image_target": images.labels[chosen],
        "image_pred": pred.cpu().numpy(),
        "image_probability": chances.cpu().numpy(),
        "map_layer": np.asarray([name for name, _ in shown], dtype=np.str_),
        "map_shape": np.asarray([each.shape[1:] for _, each in shown], dtype=np.int64),
    }
    for place, (_, values) in enumerate(shown):
        maps = values.numpy()  # (images, C, H, W)
        # The same maps for both images, so that they can be compared: those that say most about
        # either. An image that a layer hardly answers to would be black on the scale of another.
        loudness = np.abs(maps).max(axis=(1, 2, 3), keepdims=True)
        best = strongest(np.concatenate(list(maps / np.maximum(loudness, 1e-30)), axis=2), MAPS)
        content[f"maps_{place}"] = np.stack(
            [
                np.stack([shrunk(tile, _MAP_SIDE) for tile in signed_bytes(each[best])])
                for each in maps
            ]
        )
        content[f"channels_{place}"] = np.asarray(best, dtype=np.int64)
    return content


def _tiles(layer: nn.Conv2d) -> Array:
    tiles = filter_tiles(layer.weight.detach().float().cpu().numpy())[:FILTERS]
    return np.stack([shrunk(each, _FILTER_SIDE) for each in tiles])


def _read(path: Path) -> dict[str, Array]:
    try:
        return read_arrays(path) or {}
    except DataError:  # damaged since; the pictures at the end stand without it
        return {}


def _two_unlike(images: Images) -> list[int]:
    """The first image, and the first one of another class."""
    others = np.flatnonzero(images.labels != images.labels[0])
    return [0, *(int(each) for each in others[:1])]


def _spread(layers: list[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    """At most `LAYERS`, the first and the last among them, the others evenly between."""
    if len(layers) <= LAYERS:
        return layers
    places = np.linspace(0, len(layers) - 1, LAYERS).round().astype(int)
    return [layers[int(place)] for place in places]
