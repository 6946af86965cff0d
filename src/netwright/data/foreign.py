"""Foreign data sets: a pair of tensors or a map-style data set of (image, label), made ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.core.errors import DataError
from netwright.data.dataset import Int64Array, MemoryImages
from netwright.data.reading import plain, to_tensor

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


def split_of(given: Any, split: str, place: str) -> MemoryImages:
    """`given` as images in memory.

    A map-style data set is read once, from 0 to its length, because its labels are needed
    before training; its images are kept, so a random transform in it is frozen: augmentation
    belongs into the recipe.

    Raises `DataError` that says what was expected, with the index of the first misfit.
    """
    if isinstance(given, tuple | list) and len(given) == 2 and _is_array(given[0]):
        images, labels = torch.as_tensor(given[0]), torch.as_tensor(given[1])
    elif hasattr(given, "__len__") and hasattr(given, "__getitem__"):
        images, labels = _read_all(given, split, place)
    else:
        raise DataError(
            "The {split} split of {place} is {kind}.",
            hint="Expected a map-style data set (with a length, item i is (image, label)) or a "
            "pair of tensors (images, labels).",
            split=split,
            place=place,
            kind=type(given).__name__,
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.ndim != 4 or len(images) == 0:
        raise DataError(
            "The images of the {split} split of {place} have the shape {shape}.",
            hint="Expected (N, C, H, W) or (N, H, W), and at least one image.",
            split=split,
            place=place,
            shape=tuple(images.shape),
        )
    if len(labels) != len(images):
        raise DataError(
            "The {split} split of {place} has {images} images but {labels} labels.",
            hint="Expected one label for each image.",
            split=split,
            place=place,
            images=len(images),
            labels=len(labels),
        )
    name = split + "-{:05d}"
    return MemoryImages(_pixels(images, split, place), _labels(labels, split), names=name.format)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _read_all(given: Any, split: str, place: str) -> tuple[Tensor, Tensor]:
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for i in range(len(given)):
        item = given[i]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                "Item {index} of the {split} split of {place} is {kind}.",
                hint="Expected a pair (image, label).",
                index=i,
                split=split,
                place=place,
                kind=type(item).__name__,
            )
        image = _image(item[0], i, split, place)
        if images and image.shape != images[0].shape:
            raise DataError(
                "Image {index} of the {split} split of {place} is {shape}, the first is {first}.",
                hint="Expected images of one shape: resize them in the factory.",
                index=i,
                split=split,
                place=place,
                shape=tuple(image.shape),
                first=tuple(images[0].shape),
            )
        images.append(image)
        labels.append(torch.as_tensor(item[1]))
    if not images:
        return torch.empty(0), torch.empty(0)
    return torch.stack(images), torch.stack(labels)


def _image(value: Any, index: int, split: str, place: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Image.Image):
        return to_tensor(plain(value, 1 if value.mode in ("1", "L") else 3))
    if isinstance(value, np.ndarray):  # as every image library lays it out: (H, W) or (H, W, C)
        return torch.from_numpy(np.atleast_3d(value)).permute(2, 0, 1)
    raise DataError(
        "Image {index} of the {split} split of {place} is {kind}.",
        hint="Expected a tensor (C, H, W), an array (H, W, C) or a Pillow image.",
        index=index,
        split=split,
        place=place,
        kind=type(value).__name__,
    )


def _pixels(images: Tensor, split: str, place: str) -> Tensor:
    """uint8 as it is, floats as float32; other integers only if they are 0..255."""
    if images.dtype == torch.uint8:
        return images.contiguous()
    if images.is_floating_point():
        return images.to(torch.float32).contiguous()
    if images.dtype in _INTEGERS and int(images.min()) >= 0 and int(images.max()) <= 255:
        return images.to(torch.uint8).contiguous()
    raise DataError(
        "The images of the {split} split of {place} are {dtype}.",
        hint="Expected uint8 in 0..255 or floats.",
        split=split,
        place=place,
        dtype=str(images.dtype).removeprefix("torch."),
    )


def _labels(labels: Tensor, split: str) -> Int64Array:
    values = labels.detach().cpu().numpy().astype(np.float64).reshape(len(labels), -1)
    fits = (values >= 0) & (values == np.floor(values))
    if values.shape[1] != 1 or not fits.all():
        index = int(np.argmin(fits.all(1)))
        raise DataError(
            "Label {index} of the {split} split is {value}.",
            hint="Expected the number of a class: 0, 1, 2, ...",
            index=index,
            split=split,
            value=", ".join(f"{each:g}" for each in values[index]),
        )
    return values[:, 0].astype(np.int64)
