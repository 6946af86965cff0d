"""Filters and feature maps of any layer of a trained network, as arrays and as a picture."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.core.atomic import write_bytes
from netwright.core.errors import DataError, SettingError
from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.data.given import open_images
from netwright.data.preprocessing import Preprocessing
from netwright.inspection import activations as inside
from netwright.inspection.filters import filters as filters_of
from netwright.records.arrays import Array
from netwright.report.tiles import (
    bar_strip,
    coloured,
    enlarged,
    filter_tiles,
    montage,
    png,
    shrunk,
    signed_bytes,
)

# Tiles in one picture, and their side in pixels.
_TILES = 64
_COLUMNS = 8
_SIDE = 96
_SLICES = 16
_BARS = 960


@dataclass(frozen=True, kw_only=True)
class LayerPicture:
    """What a layer looks for, or what it saw: numbers and a picture of them.

    `values`: filters (out_channels, in_channels / groups, h, w); feature maps (C, H, W), or what
    the layer puts out instead ((F,) of a linear layer, (tokens, F) of an attention block).
    `channels`: which of them the picture shows, in its order, row by row. `note` says how to
    read it. `pixels` is the picture (h, w, 3) uint8, `png` the bytes of its file. Notebooks show
    it by themselves.
    """

    layer: str
    kind: str
    values: Tensor
    channels: tuple[int, ...]
    note: str
    pixels: npt.NDArray[np.uint8]

    @property
    def png(self) -> bytes:
        return png(self.pixels)

    def save(self, path: str | Path) -> Path:
        """Write the picture as a PNG file; `SettingError` for another ending."""
        place = Path(path)
        if place.suffix.lower() != ".png":
            raise SettingError(
                "{path}: pictures of layers are PNG files.",
                hint="Expected a name such as {example}.",
                path=str(place),
                example=str(place.with_suffix(".png")),
            )
        write_bytes(place, self.png)
        return place

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "layer": self.layer,
            "kind": self.kind,
            "shape": list(self.values.shape),
            "channels": list(self.channels),
            "note": self.note,
        }

    def _repr_html_(self) -> str:
        source = base64.b64encode(self.png).decode("ascii")
        title = html_text(f"{self.layer or '(model)'} · {self.kind} · {self.note}")
        return f'<figure><img src="data:image/png;base64,{source}"><p>{title}</p></figure>'

    def __repr__(self) -> str:
        shape = "x".join(str(each) for each in self.values.shape)
        return f"LayerPicture({self.layer!r}, {self.kind}, {shape}: {self.note})"


def picture_filters(model: nn.Module, layer: str) -> LayerPicture:
    """The filters of a convolution. Three input channels show in colour, one in grey; of more,
    each row is one filter and each tile what it looks for in one input channel."""
    weight = filters_of(model, layer)
    array: Array = weight.numpy()
    count, channels, tall, wide = array.shape
    shown = range(min(count, _TILES))
    if channels in (1, 3):
        pixels = montage(enlarged(filter_tiles(array)[:_TILES], _SIDE // 2), columns=_COLUMNS)
        note = say("{shown} of {count} filters", shown=len(shown), count=count)
    elif tall == wide == 1:
        cells = np.repeat(signed_bytes(array[:, :, 0, 0])[:256, :256, None], 3, axis=2)
        shown = range(min(count, 256))
        pixels = enlarged(cells[None], max(cells.shape[0], cells.shape[1]) * 4)[0]
        note = say(
            "{shown} of {count} filters of 1x1, one row each; a column is one of {channels} "
            "input channels",
            shown=len(shown),
            count=count,
            channels=channels,
        )
    else:
        shown = range(min(count, _SLICES))
        across = min(channels, _SLICES)
        flat = array[:_SLICES, :across].reshape(-1, 1, tall, wide)
        pixels = montage(enlarged(filter_tiles(flat), _SIDE // 3), columns=across)
        note = say(
            "{shown} of {count} filters, one row each; a tile is one of {channels} input "
            "channels ({across} shown)",
            shown=len(shown),
            count=count,
            channels=channels,
            across=across,
        )
    kind = type(inside.named_layer(model, layer)).__name__
    return LayerPicture(
        layer=layer, kind=kind, values=weight, channels=tuple(shown), note=note, pixels=pixels
    )


def picture_feature_maps(
    model: nn.Module, images: Tensor, layer: str, *, call: int = 0
) -> LayerPicture:
    """What a layer puts out for one image, (1, C, H, W) as the network takes it.

    Of many maps the strongest are shown (largest mean of absolute values), strongest first and
    all on one scale: black is zero, yellow far above it, blue below.
    A layer that runs several times is shown at its run number `call`.
    """
    runs = inside.activations(model, images, layer)
    if not 0 <= call < len(runs):
        raise SettingError(
            "{layer} runs {calls} times for an image; call={call} is not one of them.",
            hint="They are counted from 0.",
            layer=layer or "(model)",
            calls=len(runs),
            call=call,
        )
    found = runs[call]
    values = found.values[0] if found.values.ndim > 1 else found.values.reshape(-1)
    shown, pixels, note = _drawn(values)
    if found.calls > 1:
        note += "; " + say(
            "the layer runs {calls} times, this is call={call}", calls=found.calls, call=call
        )
    if found.parts > 1:
        note += "; " + say(
            "the layer puts out {parts} tensors, this is the first", parts=found.parts
        )
    return LayerPicture(
        layer=layer, kind=found.kind, values=values, channels=shown, note=note, pixels=pixels
    )


def read_one(image: str | Path | Tensor | Array, preprocessing: Preprocessing) -> Tensor:
    """One image as (1, C, H, W), uint8 or float, not yet normalised: a file, or an array of the
    network's (C, H, W).

    Raises `DataError` for a file that cannot be read, `SettingError` for another shape.
    """
    if isinstance(image, str | Path):
        if Path(image).is_dir():
            raise SettingError("{path} is a folder: name one image.", path=str(image))
        (item,) = open_images([image], shape=preprocessing.shape)
        if item.image is None:
            raise DataError(
                "Cannot read {path}: {reason}.", path=item.file, reason=item.error.rstrip(".")
            )
        return item.image[None]
    pixels = torch.as_tensor(image)
    if tuple(pixels.shape) == (1, *preprocessing.shape):
        return pixels
    if tuple(pixels.shape) != preprocessing.shape:
        raise SettingError(
            "The image is {given}; the network takes {wanted} (channels, height, width).",
            hint="Give the path of an image file: it is brought to that size.",
            given="x".join(str(each) for each in pixels.shape),
            wanted="x".join(str(each) for each in preprocessing.shape),
        )
    return pixels[None]


def strongest(maps: Array, count: int) -> list[int]:
    """Channels of (C, H, W) with the largest mean of absolute values, largest first.

    >>> strongest(np.array([[[0.0]], [[-3.0]], [[1.0]]]), 2)
    [1, 2]
    """
    strength = np.abs(np.nan_to_num(maps)).reshape(len(maps), -1).mean(axis=1)
    return [int(each) for each in np.argsort(-strength, kind="stable")[:count]]


def _drawn(values: Tensor) -> tuple[tuple[int, ...], npt.NDArray[np.uint8], str]:
    """Which channels, the picture, and how to read it."""
    array: Array = values.numpy()
    if array.ndim == 3 and max(array.shape[1:]) > 1:
        chosen = strongest(array, _TILES)
        tiles = np.stack([shrunk(each, _SIDE) for each in signed_bytes(array[chosen])])
        pixels = montage(enlarged(coloured(tiles), _SIDE), columns=_COLUMNS)
        note = say(
            "the {shown} strongest of {count} maps of {height}x{width}",
            shown=len(chosen),
            count=len(array),
            height=array.shape[1],
            width=array.shape[2],
        )
        return tuple(chosen), pixels, note
    if array.ndim == 2:
        cells = coloured(shrunk(signed_bytes(array), 512))
        factor = max(1, 512 // max(cells.shape[:2]))
        note = say("{rows} rows of {count} values", rows=array.shape[0], count=array.shape[1])
        return tuple(range(len(array))), enlarged(cells[None], factor * max(cells.shape))[0], note
    flat = array.reshape(-1)
    shown = range(min(len(flat), _BARS))
    note = say(
        "{shown} of {count} values as bars, up from zero or down", shown=len(shown), count=len(flat)
    )
    return tuple(shown), bar_strip(flat[:_BARS]), note
