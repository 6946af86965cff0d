"""Arrays of a run folder (`.npz`), read as what they are: bytes of unknown origin.

`numpy.load` trusts the shape that the file states and allocates it before it looks at the
data. Here nothing is allocated that is not there, nothing is unpickled, and a damaged file is
a `DataError` that names it.
"""

from __future__ import annotations

import io
import lzma
import math
import stat
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.core.errors import DataError

Array = npt.NDArray[Any]

# A confusion matrix of 1,000 classes is 8 MB and 24 pictures of 64 x 64 are 0.3 MB.
LARGEST_FILE = 256 * 2**20

# Above the length of any header NumPy writes for a plain array (under 200 bytes).
_LONGEST_HEADER = 4096


def read_arrays(path: Path) -> dict[str, Array] | None:
    """Every array in the `.npz` file at `path` by name; None if there is no such file.

    Raises `DataError` when the file is damaged, holds Python objects, or would unpack to more
    than `LARGEST_FILE` bytes.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a fifo would be waited for, for ever
            raise ValueError("it is not a regular file")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST_FILE:
                raise DataError(
                    "{path} is too large to be read: more than {limit} MB.",
                    path=str(path),
                    limit=LARGEST_FILE // 2**20,
                )
            return {
                member.filename.removesuffix(".npy"): _array(archive.read(member))
                for member in members
            }
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        raise DataError(
            "{path} is damaged and cannot be read: {reason}.",
            hint="The rest of the run folder does not depend on it.",
            path=str(path),
            reason=str(error).rstrip("."),
        ) from error


# What `zipfile`, `zlib` and NumPy's header reader raise on bytes that are not theirs.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted member
    NotImplementedError,  # a compression nobody here writes
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,  # NumPy reads a header as Python's literals
    SyntaxError,
    MemoryError,
    RecursionError,
)


def _array(data: bytes) -> Array:
    """The array in the bytes of one `.npy` file, or `ValueError`."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        read_header = np.lib.format.read_array_header_1_0
    elif version == (2, 0):
        read_header = np.lib.format.read_array_header_2_0
    else:
        raise ValueError(f"array format {version} is not known")
    shape, fortran, dtype = read_header(stream, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    body = data[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"an array of {shape} {dtype} does not have {len(body)} bytes")
    flat = np.frombuffer(body, dtype=dtype) if body else np.empty(0, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
