"""Images that a user gives to a trained network: files and folders, one item for each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from netwright.core.errors import DataError
from netwright.core.languages import say
from netwright.data.dataset import UnreadableImageError
from netwright.data.listing import Survey, image_names
from netwright.data.reading import Decode, quiet, read_image
from netwright.data.shaping import Shape


@dataclass(frozen=True, kw_only=True)
class Given:
    """A file as the user would name it, and its pixels, uint8 (C, H, W), or why there are none."""

    file: str
    image: Tensor | None = None
    error: str = ""


def open_images(
    paths: Iterable[str | Path], *, shape: Shape, decode: Decode = "fast"
) -> Iterator[Given]:
    """Every image of `paths`, read one after the other, brought to `shape` (C, H, W), JPEG files
    decoded as `data.decode` says.

    A folder stands for the images in it and below it. What cannot be read comes as an item with
    its `error`; a folder without any image raises `DataError`.
    """
    for path in map(str, paths):
        if os.path.isdir(path):
            yield from _folder(path, shape, decode)
        else:
            yield _file(path, shape, decode)


def _folder(path: str, shape: Shape, decode: Decode) -> Iterator[Given]:
    survey = Survey()
    names = list(image_names(path, path, survey))
    if not names and not survey.bad:
        raise DataError(
            "No image in {path}: {others} other files{kinds}.",
            hint="Expected .jpg, .png, .webp, .bmp, .tif, .gif or .ppm files.",
            path=path,
            others=survey.others.total(),
            kinds=f" ({survey.kinds()})" if survey.others else "",
        )
    for name in names:
        yield _file(os.path.join(path, name), shape, decode)
    for name, reason in survey.bad:
        yield Given(file=os.path.join(path, name), error=say("{reason}", reason=reason))


def _file(path: str, shape: Shape, decode: Decode) -> Given:
    try:
        with quiet():
            image = read_image(path, channels=shape[0], size=shape[1:], name=path, decode=decode)
            return Given(file=path, image=image)
    except UnreadableImageError as error:
        return Given(file=path, error=say("{reason}", reason=error.values["reason"]))
