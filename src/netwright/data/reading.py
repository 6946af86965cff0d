"""Reading one image file, whoever made it: header first, then pixels in the form asked for.

A file is opened only if it is a regular one, with the Pillow formats named here, and its size is
taken from the header and refused if too large before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.data import jpeg
from netwright.data.dataset import UnreadableImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm")
)
MAX_PIXELS = 50_000_000
_END = 4096
_SLICE = 1 << 14

Decode: TypeAlias = Literal["exact", "fast"]
"""Whether a JPEG file is decoded whole, or as small as its use allows."""

# What Pillow's decoders are known to raise on damaged input; the list is theirs, not a net.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, NotImplementedError, RuntimeError, MemoryError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
_TURNED = {5, 6, 7, 8}  # EXIF orientations that lay an image on its side
_GREY = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I"}


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of itself: `size` (H, W) as it is shown, whether it is grey, and the
    oddities that reading it will even out (`alpha`, `16-bit`, `CMYK`, `animated`). `mark`
    tells its content from another's: a hash of its length and of its first and last 4 KiB."""

    size: tuple[int, int]
    grey: bool
    oddities: tuple[str, ...] = ()
    mark: bytes = b""


@dataclass(frozen=True)
class Part:
    """Bytes inside the file at `path`, such as one member of a tar."""

    path: str
    start: int
    length: int


Place: TypeAlias = str | Part
"""Where the bytes of an image are: a file of its own, or a part of one."""


def read_header(path: Place, *, name: str = "") -> Header:
    """The header of the image at `path`; `UnreadableImageError` when it is none we read."""
    with _opened(path, name or str(path)) as (image, file):
        mark = _mark(file)
        width, height = image.size
        if image.getexif().get(ExifTags.Base.Orientation) in _TURNED:
            width, height = height, width
        return Header(
            size=(height, width), grey=_is_grey(image), oddities=_oddities(image), mark=mark
        )


def read_image(
    path: Place,
    *,
    channels: int,
    size: tuple[int, int] | None = None,
    name: str = "",
    decode: Decode = "fast",
) -> Tensor:
    """The image at `path` as uint8 (channels, H, W), brought to `size` as by `cover`.

    The first frame is taken, EXIF orientation obeyed, transparency laid on white, 16-bit grey
    scaled to 8. With `decode="fast"` a JPEG file is decoded at the next half, quarter or eighth
    of its size that is not below `size`, and resized by torch where that keeps the centre: other
    pixels, at 33 to 44 dB of those of `exact` (docs/data.md). Raises
    `UnreadableImageError` with the reason.
    """
    with _opened(path, name or str(path)) as (image, file):
        return resized(decoded(image, file, channels=channels, size=size, decode=decode), size)


@dataclass(frozen=True)
class Decoded:
    """Pixels as a picture of mode `L` or `RGB` or as bytes (H, W, 3), and whether torch's filter
    is to resize them."""

    pixels: Image.Image | NDArray[np.uint8]
    by_torch: bool


def decoded(
    image: Image.Image,
    file: IO[bytes],
    *,
    channels: int,
    size: tuple[int, int] | None,
    decode: Decode,
) -> Decoded:
    """An image opened from `file` as it is shown, its pixels taken out as `decode` says."""
    fast = size is not None and image.format in jpeg.FORMATS and decode == "fast"
    stored: Any = image.getexif().get(ExifTags.Base.Orientation)
    orientation = int(stored) if stored in range(1, 9) else 1  # as is usual for 0 and worse
    scale = 1
    if fast and size is not None:
        wanted = size if orientation in _TURNED else (size[1], size[0])
        scale = jpeg.scale_for(image.size, wanted)
    pixels = _decoded(image, file, scale, orientation, channels)
    shown = pixels.size if isinstance(pixels, Image.Image) else (pixels.shape[1], pixels.shape[0])
    # Torch resizes bytes in half of Pillow's time, but only parts in whole pixels: of a photo that
    # is small already half a pixel to the side would be too much.
    by_torch = fast and not (scale > 1 and size is not None and _has_odd_rest(shown, size))
    return Decoded(pixels, by_torch)


def _decoded(
    image: Image.Image, file: IO[bytes], scale: int, orientation: int, channels: int
) -> Image.Image | NDArray[np.uint8]:
    pixels = jpeg.read_jpeg(file, image, scale)
    if pixels is not None:
        pixels = jpeg.turned(pixels, orientation)
        has_channels = pixels.shape[2] if pixels.ndim == 3 else 1
        return pixels if channels == has_channels == 3 else plain(Image.fromarray(pixels), channels)
    file.seek(0)
    if scale > 1:
        image.draft(None, (image.width // scale, image.height // scale))
    shown = ImageOps.exif_transpose(image) if orientation != 1 else image  # which would copy it
    return plain(shown, channels)


def resized(decoded: Decoded, size: tuple[int, int] | None) -> Tensor:
    """uint8 (C, *size), as by `cover`."""
    pixels = decoded.pixels
    if decoded.by_torch and size is not None:
        return _cover_bytes(pixels, size)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return to_tensor(cover(picture, size))


def read_bytes(place: Place) -> bytes:
    """All bytes of an image, not decoded; `OSError` for anything but a regular file."""
    with bytes_at(place) as file:
        return file.read()


def plain(image: Image.Image, channels: int) -> Image.Image:
    """`image` in mode `L` (1 channel) or `RGB` (3), whatever mode it has."""
    wanted = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        image = _from_wide(image)
    elif image.mode == "F":
        raise _UnknownRangeError
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image if image.mode == wanted else image.convert(wanted)


def cover(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """`image` scaled until it just covers `size` (H, W), its centre cut out, in one filtering.

    For a square size this is "short side to size, then centre crop". Pillow's bilinear filter
    widens with the scale, so shrinking does not alias.
    """
    if size is None or image.size == (size[1], size[0]):
        return image
    height, width = size
    scale = max(width / image.width, height / image.height)
    across, down = width / scale, height / scale
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (
        max(left, 0),
        max(top, 0),
        min(left + across, image.width),
        min(top + down, image.height),
    )
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


def _covering_part(stored: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Width and height, in whole pixels, of the part of an image (W, H) that becomes `size`."""
    height, width = size
    scale = max(width / stored[0], height / stored[1])
    return round(width / scale), round(height / scale)


def _has_odd_rest(stored: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the middle of the part would lie beside the middle of the image."""
    across, down = _covering_part(stored, size)
    return bool((stored[0] - across) % 2 or (stored[1] - down) % 2)


def _cover_bytes(pixels: Image.Image | NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """`to_tensor(cover(image, size))` by torch's filter, from a part in whole pixels."""
    if isinstance(pixels, Image.Image):
        pixels = np.array(pixels, np.uint8)
    (height, width), (high, wide) = size, pixels.shape[:2]
    if (wide, high) == (width, height) or width > wide or height > high:
        return to_tensor(cover(Image.fromarray(pixels), size))
    across, down = _covering_part((wide, high), size)
    # An odd rest would move the centre by half a pixel.
    across = max(across - (wide - across) % 2, 1)
    down = max(down - (high - down) % 2, 1)
    left, top = (wide - across) // 2, (high - down) // 2
    part = torch.from_numpy(pixels)[top : top + down, left : left + across]
    part = part.reshape(1, down, across, -1).permute(0, 3, 1, 2)
    return F.interpolate(part, size=size, mode="bilinear", antialias=True)[0].contiguous()


def to_tensor(image: Image.Image) -> Tensor:
    """A picture of mode `L` or `RGB` as uint8 (C, H, W)."""
    pixels = torch.from_numpy(np.array(image, np.uint8))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def to_picture(pixels: Tensor) -> Image.Image:
    """uint8 (C, H, W) as a picture, the inverse of `to_tensor`."""
    array = pixels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings about odd files off the screen: what matters becomes an error.

    Warning filters belong to the whole process, so threads are started inside, not outside.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _opened(path: Place, name: str) -> Iterator[tuple[Image.Image, IO[bytes]]]:
    """The file at `path` as a Pillow image whose pixels are not decoded yet, and as a file."""
    try:
        with bytes_at(path) as file, Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image, file
    except _DAMAGE as error:
        raise UnreadableImageError(
            "Cannot read the image {name}: {reason}.", name=name, reason=_reason(error)
        ) from error


def _mark(file: IO[bytes]) -> bytes:
    """16 bytes that change with the length of a file and with what it begins and ends with.

    Reading whole files would double the time of a scan of large photos; of an image that was
    exchanged for another the compressed end, or the first lines, are never the same.
    """
    raw = getattr(file, "raw", None)
    if isinstance(raw, _Slice):
        handle, start, length = raw.handle, raw.start, raw.length
    else:
        handle, start = file.fileno(), 0
        length = os.fstat(handle).st_size
    least = min(_END, length)
    ends = os.pread(handle, least, start), os.pread(handle, least, start + length - least)
    return hashlib.sha256(b"".join((length.to_bytes(8, "big"), *ends))).digest()[:16]


@contextlib.contextmanager
def bytes_at(place: Place) -> Iterator[IO[bytes]]:
    """The bytes of an image as a file of their own, open for reading."""
    if isinstance(place, str):
        with open_regular(place) as file:
            yield file
        return
    with open_regular(place.path) as whole:
        yield io.BufferedReader(_Slice(whole.fileno(), place.start, place.length), _SLICE)


class _Slice(io.RawIOBase):
    """Part of an open file as a file of its own. It gives no `fileno`: a library that reads past
    Python would read from the wrong place."""

    def __init__(self, handle: int, start: int, length: int) -> None:
        self.handle, self.start, self.length = handle, start, length
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(min(len(buffer), self.length - self._at), 0)
        read = os.preadv(self.handle, [memoryview(buffer)[:wanted]], self.start + self._at)
        self._at += read
        return read


def open_regular(path: str) -> IO[bytes]:
    """The file at `path`, opened for reading; `OSError` for anything but a regular file."""
    # Without O_NONBLOCK opening a fifo waits for a writer that may never come. The check is on
    # what was opened, not on the name, which could be something else a moment later.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _NotRegularError
    return os.fdopen(handle, "rb")


class _NotRegularError(OSError):
    """A folder, a fifo, a device."""


class _UnknownRangeError(ValueError):
    """Pixels of a type that does not say what is black and what is white."""


def _reason(error: BaseException) -> Phrase | str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return Phrase("more than {count} pixels", count=f"{MAX_PIXELS:,}")
    if isinstance(error, UnidentifiedImageError):
        return Phrase("not an image of a known format")
    if isinstance(error, _NotRegularError):
        return Phrase("not a regular file")
    if isinstance(error, _UnknownRangeError):
        return Phrase("pixels of 32 bits, whose range is unknown")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rstrip(".") or type(error).__name__


def _is_grey(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode in _GREY
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _oddities(image: Image.Image) -> tuple[str, ...]:
    found = {
        "alpha": image.has_transparency_data,
        "16-bit": image.mode.startswith("I"),
        "CMYK": image.mode == "CMYK",
        "animated": getattr(image, "is_animated", False),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def _from_wide(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit: 65535 becomes 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise _UnknownRangeError
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
