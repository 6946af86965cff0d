"""Archives: zip, tar and tar.gz, unpacked by our own loop, which trusts nothing they say.

Regular files only, inside the folder only, each name once whatever its case, and never more
than the limits allow. An archive that breaks a rule is refused whole: nothing of it is left.
(The standard library's own loop follows links out of the folder in Python 3.11.7.)
"""

from __future__ import annotations

import functools
import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from netwright.core.atomic import disk, free_bytes
from netwright.core.cache import amount, cache_home, too_full, writing
from netwright.core.downloads import sha256_of
from netwright.core.errors import DataError
from netwright.core.languages import Phrase

__all__ = ["Limits", "is_archive", "unpack", "unpacked"]

_CHUNK = 1 << 18
_LONG_HEADER = 1 << 16
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most an archive may hold: files and folders, bytes in all, bytes for each byte packed
    (where more than `harmless` bytes come out), parts of a name."""

    entries: int = 2_000_000
    size: int = 100_000_000_000
    ratio: int = 200
    harmless: int = 100_000_000
    depth: int = 32


def is_archive(path: Path) -> bool:
    """Whether `path` is a regular file with the name of an archive that can be unpacked."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


def unpack(
    archive: Path,
    folder: Path,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    limits: Limits | None = None,
) -> int:
    """Unpack the files of `archive` that are `wanted` into the new folder `folder`; their number.

    The folder appears whole or not at all. Names are checked whether wanted or not.

    Raises `DataError` for an archive that is damaged or breaks a rule, with the member and the
    rule, `ExhaustedError` when the disk has no room.
    """
    with writing(folder):
        disk.make_folder(folder.parent)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        count = _Unpacking(archive, beside, limits or Limits()).run(wanted)
        with writing(folder):
            os.chmod(beside, 0o755)
            try:
                disk.rename(beside, folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
            disk.sync(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return count


def unpacked(archive: Path, *, only: str = "", sha256: str | None = None) -> Path:
    """The folder of the cache that holds what is in `archive`, unpacked if it is not there yet.

    It is found by the sha256 of the archive, so a changed archive is unpacked anew. `only` is
    what the names of the wanted files begin with, `sha256` that of the archive where it has just
    been checked. Raises as `unpack` does.
    """
    digest = (sha256 or sha256_of(archive))[:32]
    folder = cache_home() / "unpacked" / "-".join(filter(None, (digest, only)))
    if not folder.is_dir():
        unpack(archive, folder, wanted=lambda name: Path(name).name.startswith(only))
    return folder


@dataclass(frozen=True)
class _Member:
    """One entry: `size` as the archive announces it, `open` for a regular file only."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes]]


class _RefusedError(Exception):
    """What is wrong with an entry, or with the whole."""

    def __init__(self, reason: Phrase, name: str = "") -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.name = name


class _Unpacking:
    """One archive on its way into one folder, and what has come out so far."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive = archive
        self.folder = folder
        self.limits = limits
        self.room = free_bytes(folder)
        self.size = 0
        self.seen: dict[str, tuple[str, bool]] = {}

    def run(self, wanted: Callable[[str], bool]) -> int:
        count = entries = 0
        try:
            packed = self.archive.stat().st_size
            most = max(packed * self.limits.ratio, self.limits.harmless)
            most = min(most, self.limits.size)
            for member in _members(self.archive, most):
                entries += 1
                if entries > self.limits.entries:
                    raise _RefusedError(Phrase("more than {count} entries", count=entries - 1))
                parts = self._claim(member)
                if member.is_folder:
                    self._make(parts)
                elif wanted("/".join(parts)):
                    self._make(parts[:-1])
                    self._copy(member, parts, most)
                    count += 1
        except _RefusedError as error:
            raise _refusal(self.archive, error) from error
        except (EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
            raise _damaged(self.archive, str(error)) from error
        except (OSError, RuntimeError, NotImplementedError, ValueError) as error:
            # zipfile speaks of foreign features so, gzip of bytes that are not its own.
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise _damaged(self.archive, said) from error
        return count

    def _claim(self, member: _Member) -> tuple[str, ...]:
        """The parts of the member's name, which nothing has taken before in any spelling."""
        parts = _parts(member.name, self.limits.depth)
        if not parts and not member.is_folder:
            raise _RefusedError(Phrase("has no name"), member.name)
        for end in range(1, len(parts) + 1):
            name, is_folder = "/".join(parts[:end]), end < len(parts) or member.is_folder
            folded = unicodedata.normalize("NFC", name).casefold()
            known, was_folder = self.seen.get(folded, ("", False))
            if not known:
                self.seen[folded] = name, is_folder
            elif known != name:
                raise _RefusedError(
                    Phrase('differs from "{other}" in its case only', other=known), member.name
                )
            elif was_folder != is_folder:
                raise _RefusedError(Phrase("is a file and a folder"), member.name)
            elif not is_folder:
                raise _RefusedError(Phrase("is there twice"), member.name)
        return parts

    def _make(self, parts: tuple[str, ...]) -> None:
        with writing(self.folder):
            self.folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def _copy(self, member: _Member, parts: tuple[str, ...], most: int) -> None:
        """Write one file; no more of it is unpacked than its entry announces."""
        if self.size + member.size > most:
            raise _RefusedError(Phrase("more than {most} come out of it", most=amount(most)))
        if member.size > self.room - self.size:
            raise too_full(self.folder, member.size)
        path = self.folder.joinpath(*parts)
        written = 0
        with member.open() as source, _new_file(path) as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > member.size:
                    raise _RefusedError(
                        Phrase("holds more than the {size} bytes announced", size=member.size),
                        member.name,
                    )
                with writing(path):
                    target.write(chunk)
        if written < member.size:
            raise EOFError
        self.size += written


def _new_file(path: Path) -> IO[bytes]:
    def opened(place: str, flags: int) -> int:
        return os.open(place, flags | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

    with writing(path):
        return open(path, "wb", opener=opened)


def _parts(name: str, depth: int) -> tuple[str, ...]:
    """The folders and the file of a name that stays inside.

    >>> _parts("./a/b.png", 32)
    ('a', 'b.png')
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or (parts and parts[0][1:2] == ":" and parts[0][0].isalpha()):
        raise _RefusedError(Phrase("is an absolute path"), name)
    if ".." in parts:
        raise _RefusedError(Phrase("leaves the folder"), name)
    if "\\" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise _RefusedError(Phrase("has a backslash or a control character in its name"), name)
    if len(parts) > depth or any(len(os.fsencode(part)) > 255 for part in parts):
        raise _RefusedError(Phrase("has a name that is too long or too deep"), name)
    return parts


def _members(path: Path, most: int) -> Iterator[_Member]:
    """What the archive holds, told by its first bytes: a tar may have a zip as its last file."""
    with open(path, "rb") as file:
        first = file.read(4)
    if first in (b"PK\3\4", b"PK\5\6"):
        return _zip_members(path)
    return _tar_members(path, most, is_gzip=first.startswith(b"\x1f\x8b"))


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.orig_filename  # `filename` has been cut at a zero byte
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(Phrase("is a link or a device"), name)
            if info.flag_bits & 0x1:
                raise _RefusedError(Phrase("is encrypted"), name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _RefusedError(Phrase("is packed in an unusual way"), name)
            is_folder = name.endswith("/")
            yield _Member(name, info.file_size, is_folder, functools.partial(archive.open, info))


def _tar_members(path: Path, most: int, *, is_gzip: bool) -> Iterator[_Member]:
    """Forward only: a header that points back, as hostile ones do to be read for ever, fails."""
    ended = False

    class Careful(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: str, errors: str) -> Careful:
            nonlocal ended
            ended = ended or (len(buf) == tarfile.BLOCKSIZE and not any(buf))
            info = super().frombuf(buf, encoding, errors)
            regular = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
            # The library holds every other header whole in memory, whatever size it announces.
            if info.size < 0 or (not regular and info.size > _LONG_HEADER):
                raise _RefusedError(Phrase("has a header of impossible size"), info.name)
            return info

    with open(path, "rb") as file:
        plain: Any = _Measured(gzip.GzipFile(fileobj=file), most) if is_gzip else file
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=Careful) as archive:
            for info in archive:
                archive.members = []  # type: ignore[attr-defined]  # all would be kept
                if not (info.isreg() or info.isdir()) or info.issparse():
                    raise _RefusedError(Phrase("is a link or a device"), info.name)
                part = functools.partial(_part, archive, info)
                yield _Member(info.name, info.size, info.isdir(), part)
        while is_gzip and plain.read(_CHUNK):  # its checksum stands behind the end of the tar
            pass
    if not ended:
        raise EOFError


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
            raise _RefusedError(Phrase("more than {most} come out of it", most=amount(self._most)))
        return chunk


def _refusal(archive: Path, error: _RefusedError) -> DataError:
    if error.name:
        return DataError(
            'The archive {archive} is refused: "{member}" {reason}.',
            hint="Expected regular files inside one folder, each once. If you trust it, unpack it "
            "yourself and name the folder.",
            archive=str(archive),
            member=error.name,
            reason=error.reason,
        )
    return DataError(
        "The archive {archive} is refused: {reason}.",
        hint="If you trust it, unpack it yourself and name the folder.",
        archive=str(archive),
        reason=error.reason,
    )


def _damaged(archive: Path, said: str) -> DataError:
    return DataError(
        "Cannot unpack {archive}: {reason}.",
        hint="Expected a whole .zip, .tar or .tar.gz; fetch it again.",
        archive=str(archive),
        reason=said.lower().rstrip(".") or Phrase("it is cut off"),
    )
