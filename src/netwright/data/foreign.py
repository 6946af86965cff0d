"""Foreign data sets: a pair of tensors or a map-style data set of (image, label), made ours.

Small ones are read once and held as one tensor. A large one is streamed, and so is one that
draws at random: a random transform in it must stay random. Before an item of such a set is read
for training, Python's, NumPy's and torch's generators are seeded from (seed, epoch, index), so
that even a transform that knows nothing of keys gives the same image after a resume. A set that
draws nothing is spared that: it costs fifty times what a row of a tensor does.
"""

from __future__ import annotations

import contextlib
import math
import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.core.errors import DataError, NetwrightError
from netwright.core.keyed import key
from netwright.core.languages import Phrase
from netwright.data.checking import not_finite
from netwright.data.dataset import Images, Int64Array, MemoryImages
from netwright.data.memory import memory_limit
from netwright.data.reading import plain, to_tensor

Cache = Literal["auto", "memory", "stream"]

_KEPT = (torch.uint8, torch.float32)
_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)
_READ_TWICE = 8
"""Items read twice to see whether the data set draws at random."""
_READ = key("read")
_MOST = 1_000_000_000
"""Labels of more items than this fit in no memory: such a length is no length."""


def split_of(given: Any, split: str, place: str, *, cache: Cache = "auto") -> Images:
    """`given` as images: a pair of tensors in memory, a map-style data set as `cache` says
    (`auto`: in memory if it fits and draws nothing at random).

    Raises `DataError` that says what was expected, with the index of the first misfit.
    """
    if isinstance(given, tuple | list) and len(given) == 2 and _is_array(given[0]):
        labels = _label(given[1], Phrase("The labels"), split, place)
        return _held(_images(given[0], split, place), torch.atleast_1d(labels), split, place)
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise DataError(
            "The {split} split of {place} is {kind}.",
            hint="Expected a map-style data set (with a length, item i is (image, label)) or a "
            "pair of tensors (images, labels).",
            split=split,
            place=place,
            kind=type(given).__name__,
        )
    with _told(Phrase("The length"), split, place):
        count = len(given)
    if count == 0:
        return _held(torch.empty(0), torch.empty(0), split, place)
    source = _Source(given, count, split, place)
    if cache == "stream" or (cache == "auto" and (not source.fits() or source.draws())):
        return source.streamed()
    items = [source.item(i, first=source.first) for i in range(count)]
    images = torch.stack([image for image, _ in items])
    return _held(images, torch.stack([label for _, label in items]), split, place)


@dataclass(frozen=True, kw_only=True)
class ForeignImages:
    """A map-style data set that is read item by item; `rows` are its items, in this order."""

    source: _Source
    labels: Int64Array
    rows: Int64Array
    random: bool
    in_memory: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.source.first.shape
        return channels, height, width

    def name(self, i: int) -> str:
        return self.source.name(int(self.rows[i]))

    def read(self, i: int) -> Tensor:
        image = self.draw(i, _READ)
        self.check_finite(image[None], np.array([i]))
        return image

    def draw(self, i: int, number: int) -> Tensor:
        """Image `i` as its data set draws it under `number`; not yet checked for NaN."""
        row = int(self.rows[i])
        if not self.random:
            return self.source.image(row)
        with _seeded(key(number, row)):
            pixels, label = self.source.item(row, first=self.source.first)
        if not torch.equal(label, self.source.labels[row]):
            raise self.source.moody(row)
        return _pixels(pixels, self.source.split, self.source.place)

    def draw_all(self, indices: Int64Array) -> list[Tensor] | None:
        """The images at `indices` of a set that draws nothing, read in one go; None where `draw`
        has to look at them one by one."""
        if self.random:
            return None
        return self.source.images(self.rows[indices].tolist())

    def check_finite(self, images: Tensor, index: Int64Array) -> None:
        """`DataError` for the first of `images`, those at `index`, that holds NaN or infinity."""
        # One pass and no array of truth values: a sum is finite only if all its terms are.
        if not images.is_floating_point() or math.isfinite(images.sum()):
            return
        for image, i in zip(images, index.tolist(), strict=True):
            if not bool(image.isfinite().all()):
                row = int(self.rows[i])
                raise not_finite(self.source.split, row, self.source.name(row))

    def content(self) -> bytes:
        return b""  # to know it, everything would have to be read

    def subset(self, rows: Int64Array) -> ForeignImages:
        return replace(self, labels=self.labels[rows], rows=self.rows[rows])

    def relabelled(self, numbers: Int64Array) -> ForeignImages:
        return replace(self, labels=numbers[self.labels])


class _Source:
    """The data set itself, with what it is called in messages and what its first image is like."""

    def __init__(self, given: Any, count: int, split: str, place: str) -> None:
        self.given = given
        self.count = count
        self.split = split
        self.place = place
        self.labels = torch.empty(0, dtype=torch.float64)
        self._plain = True
        self.first = self.item(0)[0]
        if self.first.ndim != 3:
            raise _shape_error(self.first.shape, split, place)
        _refuse_channels_last((count, *self.first.shape), split, place)
        if count > _MOST:
            raise DataError(
                "The {split} split of {place} has the length {count}.",
                hint="Expected how many items there are; an endless data set cannot be used.",
                split=split,
                place=place,
                count=count,
            )

    def name(self, row: int) -> str:
        return f"{self.split}-{row:05d}"

    def fits(self) -> bool:
        return self.count * self.first.numel() * self.first.element_size() <= memory_limit()

    def draws(self) -> bool:
        """Whether reading an item moves a generator on, or gives another image than before; a
        label that changes is a `DataError`."""
        with _seeded(key("draws")):
            before = _states()
            for row in range(min(_READ_TWICE, self.count)):
                (image, label), (again, same) = self.item(row), self.item(row)
                if not torch.equal(label, same):
                    raise self.moody(row)
                if not torch.equal(image, again):
                    return True
            return _states() != before

    def moody(self, row: int) -> DataError:
        return DataError(
            "The label of item {index} of the {split} split of {place} is not always the same.",
            hint="Expected an item to have one label, however often it is read.",
            index=row,
            split=self.split,
            place=self.place,
        )

    def streamed(self) -> ForeignImages:
        listed = getattr(self.given, "targets", None)  # where torchvision's data sets keep them
        if listed is None or not self._agrees(listed):
            listed = torch.stack([self.item(i)[1] for i in range(self.count)])
        labels = _labels(torch.as_tensor(listed), self.split)
        self.labels = torch.from_numpy(labels).to(torch.float64)
        rows = np.arange(self.count)
        return ForeignImages(source=self, labels=labels, rows=rows, random=self.draws())

    def images(self, rows: list[int]) -> list[Tensor] | None:
        """Those images, if each is a tensor that needs nothing done: all the rest that `image`
        does costs more than reading the row of a tensor. A set that once gave something else is
        not asked again, for then every item would be read twice."""
        if not self._plain:
            return None
        given, shape = self.given, self.first.shape
        try:
            found = [given[row][0] for row in rows]
        except (Exception, SystemExit):  # a user's code can raise anything: `item` will tell it
            return None
        self._plain = all(
            type(x) is Tensor and x.dtype in _KEPT and x.shape == shape for x in found
        )
        return found if self._plain else None

    def image(self, i: int) -> Tensor:
        """Image `i` of a set that draws nothing, uint8 or float32."""
        found = self.images([i])
        if found is not None:
            return found[0]
        return _pixels(self.item(i, first=self.first)[0], self.split, self.place)

    def _agrees(self, listed: Any) -> bool:
        """Whether the labels in a list are those of the items: they may be turned into others."""
        if len(listed) != self.count:
            return False
        tried = range(min(_READ_TWICE, self.count))
        try:
            return all(float(listed[i]) == float(self.item(i)[1]) for i in tried)
        except (TypeError, ValueError, LookupError, RuntimeError):
            return False

    def item(self, i: int, *, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Image and label `i`; with `first`, an image of another shape than it is refused."""
        with _told(Phrase("Item {index}", index=i), self.split, self.place):
            item = self.given[i]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                "Item {index} of the {split} split of {place} is {kind}.",
                hint="Expected a pair (image, label).",
                index=i,
                split=self.split,
                place=self.place,
                kind=type(item).__name__,
            )
        image = _image(item[0], i, self.split, self.place)
        if image.ndim == 2:
            image = image.unsqueeze(0)
        if first is not None and image.shape != first.shape:
            raise DataError(
                "Image {index} of the {split} split of {place} is {shape}, the first is {first}.",
                hint="Expected images of one shape: resize them in the factory.",
                index=i,
                split=self.split,
                place=self.place,
                shape=tuple(image.shape),
                first=tuple(first.shape),
            )
        what = Phrase("The label of item {index}", index=i)
        return image, _label(item[1], what, self.split, self.place).squeeze()


def _held(images: Tensor, labels: Tensor, split: str, place: str) -> MemoryImages:
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.ndim != 4 or len(images) == 0:
        raise _shape_error(images.shape, split, place)
    if len(labels) != len(images):
        raise DataError(
            "The {split} split of {place} has {images} images but {labels} labels.",
            hint="Expected one label for each image.",
            split=split,
            place=place,
            images=len(images),
            labels=len(labels),
        )
    _refuse_channels_last(tuple(images.shape), split, place)
    name = split + "-{:05d}"
    return MemoryImages(_pixels(images, split, place), _labels(labels, split), names=name.format)


def _shape_error(shape: Any, split: str, place: str) -> DataError:
    return DataError(
        "The images of the {split} split of {place} have the shape {shape}.",
        hint="Expected (N, C, H, W) or (N, H, W), and at least one image.",
        split=split,
        place=place,
        shape=tuple(shape),
    )


def _refuse_channels_last(shape: tuple[int, ...], split: str, place: str) -> None:
    if shape[3] in (1, 3, 4) and shape[1] not in (1, 3):
        raise DataError(
            "The images of the {split} split of {place} have the shape {shape}.",
            hint="Expected (N, C, H, W); yours looks like (N, H, W, C): permute(0, 3, 1, 2).",
            split=split,
            place=place,
            shape=shape,
        )


def _label(value: Any, what: Phrase, split: str, place: str) -> Tensor:
    """A label, or a list of them, as float64: what does not fit can then be shown."""
    try:
        return _tensor(value).to(torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "{what} of the {split} split of {place} cannot be read as a number: {reason}.",
            hint="Expected the number of a class: 0, 1, 2, ...",
            what=what,
            split=split,
            place=place,
            reason=str(error).rstrip("."),
        ) from error


def _images(value: Any, split: str, place: str) -> Tensor:
    try:
        return _tensor(value)
    except (TypeError, ValueError, RuntimeError):  # an array of texts or of objects
        raise DataError(
            "The images of the {split} split of {place} are {dtype}.",
            hint="Expected uint8 in 0..255 or floats.",
            split=split,
            place=place,
            dtype=str(value.dtype),
        ) from None


def _tensor(value: Any) -> Tensor:
    """`value` as a plain tensor: dense, on the host, without a history."""
    given = torch.as_tensor(value).detach()
    return (given if given.layout is torch.strided else given.to_dense()).cpu()


@contextlib.contextmanager
def _told(what: Phrase, split: str, place: str) -> Iterator[None]:
    """Whatever the user's code raises inside becomes a `DataError` that names file and line."""
    try:
        yield
    except NetwrightError:
        raise
    except (Exception, SystemExit) as error:  # a user's code can raise anything; it is told
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise DataError(
            "{what} of the {split} split of {place} raised {kind}: {reason} ({where})",
            what=what,
            split=split,
            place=place,
            kind=type(error).__name__,
            reason=str(error) or "no message",
            where=f"{at.filename}:{at.lineno}",
        ) from error


def _states() -> tuple[Any, ...]:
    """Where Python's, NumPy's and torch's generators stand, to be compared."""
    numpy: Any = np.random.get_state()
    kind, numbers, *rest = numpy
    return random.getstate(), kind, numbers.tobytes(), *rest, torch.get_rng_state().tolist()


@contextlib.contextmanager
def _seeded(number: int) -> Iterator[None]:
    """Python's, NumPy's and torch's generators set from `number`, and put back afterwards."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(pytorch)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _image(value: Any, index: int, split: str, place: str) -> Tensor:
    if isinstance(value, Tensor):
        return _tensor(value)
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
    if images.dtype in _KEPT:
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
