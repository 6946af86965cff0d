"""What a zip or a tar says it holds: one entry after the other, each looked at before it is used.

Nothing is written here. An entry that is no plain file or folder, a name that is a trick, or a
header that would fill the memory raises `RefusedError`; the libraries only take bytes apart.
"""

from __future__ import annotations

import functools
import gzip
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from netwright.core.cache import amount
from netwright.core.languages import Phrase

_CHUNK = 1 << 18
_LONG_HEADER = 1 << 16


@dataclass(frozen=True)
class Member:
    """One entry: `size` as the archive announces it, `open` for a regular file only."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes]]


class RefusedError(Exception):
    """What is wrong with an entry, or with the whole."""

    def __init__(self, reason: Phrase, name: str = "") -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.name = name


def members(path: Path, most: int) -> Iterator[Member]:
    """What the archive holds, told by its first bytes: a tar may have a zip as its last file."""
    with open(path, "rb") as file:
        first = file.read(4)
    if first in (b"PK\3\4", b"PK\5\6"):
        return _zip_members(path)
    return _tar_members(path, most, is_gzip=first.startswith(b"\x1f\x8b"))


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.orig_filename  # `filename` has been cut at a zero byte
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise RefusedError(Phrase("is a link or a device"), name)
            if info.flag_bits & 0x1:
                raise RefusedError(Phrase("is encrypted"), name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RefusedError(Phrase("is packed in an unusual way"), name)
            is_folder = name.endswith("/")
            yield Member(name, info.file_size, is_folder, functools.partial(archive.open, info))


class _Careful(tarfile.TarInfo):
    """A header that is refused if the library would hold what it announces in memory."""

    ended = False  # set in a subclass of each reading, when the end mark of the tar has come

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> _Careful:
        cls.ended = cls.ended or (len(buf) == tarfile.BLOCKSIZE and not any(buf))
        info = super().frombuf(buf, encoding, errors)
        regular = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
        # The library holds every other header whole in memory, whatever size it announces.
        if info.size < 0 or (not regular and info.size > _LONG_HEADER):
            raise RefusedError(Phrase("has a header of impossible size"), info.name)
        return info


def _tar_members(path: Path, most: int, *, is_gzip: bool) -> Iterator[Member]:
    """Forward only: a header that points back, as hostile ones do to be read for ever, fails."""

    class Careful(_Careful):
        pass

    with open(path, "rb") as file:
        plain: Any = _Measured(gzip.GzipFile(fileobj=file), most) if is_gzip else file
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=Careful) as archive:
            for info in archive:
                archive.members = []  # type: ignore[attr-defined]  # all would be kept
                _refuse_other(info)
                part = functools.partial(_part, archive, info)
                yield Member(info.name, info.size, info.isdir(), part)
        while is_gzip and plain.read(_CHUNK):  # its checksum stands behind the end of the tar
            pass
    if not Careful.ended:
        raise EOFError


def tar_places(file: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """The regular files of an open tar that is not compressed: name, where the bytes of each begin,
    and how many they are. Headers alone are read.

    Raises `RefusedError` for what is no plain file or folder, `tarfile.TarError` and `EOFError` for
    a tar that is damaged or cut off.
    """

    class Careful(_Careful):
        pass

    length = os.fstat(file.fileno()).st_size
    reached = 0
    with tarfile.open(fileobj=file, mode="r:", tarinfo=Careful) as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # all would be kept
            _refuse_other(info)
            if info.offset_data <= reached:
                raise RefusedError(Phrase("has a header of impossible size"), info.name)
            reached = info.offset_data
            if info.offset_data + info.size > length:
                raise EOFError
            if info.isreg():
                yield info.name, info.offset_data, info.size
    if not Careful.ended:
        raise EOFError


def _refuse_other(info: tarfile.TarInfo) -> None:
    if not (info.isreg() or info.isdir()) or info.issparse():
        raise RefusedError(Phrase("is a link or a device"), info.name)


def _part(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    part = archive.extractfile(info)
    assert part is not None  # it is a regular file
    return part


class _Measured:
    """A stream that ends in a refusal when more comes out of it than is allowed: what nobody
    wants has to be unpacked too, to get past it."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream = stream
        self._most = most
        self._left = most + most // 4 + (1 << 20)  # headers and padding besides the files

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise RefusedError(Phrase("more than {most} come out of it", most=amount(self._most)))
        return chunk


def parts_of(name: str, depth: int) -> tuple[str, ...]:
    """The folders and the file of a name that stays inside.

    >>> parts_of("./a/b.png", 32)
    ('a', 'b.png')
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or (parts and parts[0][1:2] == ":" and parts[0][0].isalpha()):
        raise RefusedError(Phrase("is an absolute path"), name)
    if ".." in parts:
        raise RefusedError(Phrase("leaves the folder"), name)
    if "\\" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise RefusedError(Phrase("has a backslash or a control character in its name"), name)
    if len(parts) > depth or any(len(os.fsencode(part)) > 255 for part in parts):
        raise RefusedError(Phrase("has a name that is too long or too deep"), name)
    return parts
