"""The two forms in which CIFAR-10 and CIFAR-100 are published: Python pickles and plain records.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". An image is 3,072
bytes: 1,024 red, then green, then blue, row by row. A record is one label (two in CIFAR-100:
coarse, fine) and the image; a pickle is a dict of `data` (N, 3072) and lists of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netwright.core.errors import DataError
from netwright.core.languages import Phrase
from netwright.data.dataset import Int64Array
from netwright.data.memory import available_bytes
from netwright.data.pickles import PickleError, read_pickle
from netwright.data.reading import open_regular

Bytes = npt.NDArray[np.uint8]

_IMAGE = 3 * 32 * 32


def read_batch(path: Path, *, label: str, labels: Sequence[str]) -> tuple[Bytes, Int64Array]:
    """Images (N, 3, 32, 32) uint8 and their labels (N,) of one file, in either form.

    `labels` are the names of the labels of a record in their order, and of the lists in a
    pickle; `label` is the one wanted. Raises `DataError` for a file that is neither.
    """
    content = _content(path)
    if path.suffix == ".bin":
        record = len(labels) + _IMAGE
        if not content or len(content) % record:
            raise _bad(path, Phrase("its length is no multiple of {record} bytes", record=record))
        records = np.frombuffer(content, np.uint8).reshape(-1, record)
        numbers = records[:, labels.index(label)].astype(np.int64)
        return records[:, len(labels) :].reshape(-1, 3, 32, 32), numbers
    try:
        held = read_pickle(content)
    except PickleError as error:
        raise _bad(path, error.reason) from error
    return _from_pickle(path, held, label)


def _from_pickle(path: Path, held: object, label: str) -> tuple[Bytes, Int64Array]:
    named = {_text(key): value for key, value in held.items()} if isinstance(held, dict) else {}
    pixels, numbers = named.get("data"), named.get(label)
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _IMAGE:
        raise _bad(path, Phrase("it has no images of 3 x 32 x 32 bytes under {key}", key='"data"'))
    sane = isinstance(numbers, list) and all(type(n) is int and 0 <= n < 256 for n in numbers)
    if not isinstance(numbers, list) or not sane or len(numbers) != len(pixels):
        raise _bad(
            path,
            Phrase(
                "it has no list of {count} labels under {key}", count=len(pixels), key=f'"{label}"'
            ),
        )
    return pixels.reshape(-1, 3, 32, 32), np.array(numbers, np.int64)


def _text(key: object) -> object:
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _content(path: Path) -> bytes:
    try:
        with open_regular(str(path)) as file:
            size = path.stat().st_size
            if size > available_bytes() // 4:  # a pickle is held three times on its way
                raise _bad(path, Phrase("its {count} bytes are too many for memory", count=size))
            return file.read()
    except OSError as error:
        raise _bad(path, (error.strerror or str(error)).lower()) from error


def _bad(path: Path, reason: Phrase | str) -> DataError:
    return DataError(
        "Cannot read the CIFAR file {file}: {reason}.",
        hint="Expected a whole batch as published, as a Python pickle or in binary form; "
        "fetch it again.",
        file=str(path),
        reason=reason,
    )
