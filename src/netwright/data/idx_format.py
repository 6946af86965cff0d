"""The idx format: two zero bytes, a type, the number of dimensions, the dimensions, the values.

LeCun, Cortes & Burges, "The MNIST database of handwritten digits". Dimensions are big-endian
32-bit numbers; type 8 is unsigned byte, the only one that images and labels are published in.
"""

from __future__ import annotations

import gzip
import io
import lzma
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from netwright.core.errors import DataError
from netwright.core.languages import Phrase
from netwright.data.memory import available_bytes
from netwright.data.reading import open_regular

_UNSIGNED_BYTE = 8


def read_idx(path: Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """The array in the idx file `path`, which may be packed as .gz or .xz.

    Never more is unpacked than the header announces, and nothing if that is more than half of
    the free memory. Raises `DataError` for a file that is not what its header says.
    """
    try:
        with open_regular(str(path)) as file, _unpacked(file, path.suffix.lower()) as plain:
            shape = _shape(plain, path, dimensions)
            # One byte more than wanted shows a file that is too long. A stream may hand out less
            # than was asked for, so it is read through a buffer, which asks again.
            values = bytearray(plain.read(math.prod(shape) + 1))
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _bad(path, said.lower().rstrip(".") or Phrase("its packing is damaged")) from error
    if len(values) != math.prod(shape):
        if len(values) > math.prod(shape):
            raise _bad(
                path,
                Phrase(
                    "it goes on behind the {count} values of its header", count=math.prod(shape)
                ),
            )
        raise _bad(
            path,
            Phrase(
                "it is cut off: {held} of {count} values", held=len(values), count=math.prod(shape)
            ),
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def _unpacked(file: IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if suffix == ".xz":
        return io.BufferedReader(lzma.LZMAFile(file))
    return file


def _shape(plain: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    head = plain.read(4)
    if len(head) < 4 or head[:2] != b"\0\0":
        raise _bad(path, Phrase("it does not begin like an idx file"))
    if head[2] != _UNSIGNED_BYTE:
        raise _bad(
            path, Phrase("its values are of type {kind}, not unsigned bytes (8)", kind=head[2])
        )
    if head[3] != dimensions:
        raise _bad(
            path,
            Phrase("it has {found} dimensions, not {wanted}", found=head[3], wanted=dimensions),
        )
    sizes = plain.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise _bad(path, Phrase("its header is cut off"))
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", sizes)
    if math.prod(shape) > available_bytes() // 2:
        raise _bad(
            path,
            Phrase(
                "its header announces {count} bytes, too many for memory", count=math.prod(shape)
            ),
        )
    return shape


def _bad(path: Path, reason: Phrase | str) -> DataError:
    return DataError(
        "Cannot read the idx file {file}: {reason}.",
        hint="Expected a whole idx file of unsigned bytes, plain, .gz or .xz; fetch it again.",
        file=str(path),
        reason=reason,
    )
