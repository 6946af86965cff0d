"""Archives: zip, tar and tar.gz, unpacked by our own loop, which trusts nothing they say.

Regular files only, inside the folder only, each name once whatever its case, and never more
than the limits allow. An archive that breaks a rule is refused whole: nothing of it is left.
(The standard library's own loop follows links out of the folder in Python 3.11.7.)
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from netwright.core.archive_members import Member, RefusedError, members, parts_of
from netwright.core.atomic import disk, free_bytes
from netwright.core.cache import amount, cache_home, too_full, writing
from netwright.core.downloads import sha256_of
from netwright.core.errors import DataError
from netwright.core.languages import Phrase

__all__ = ["Limits", "is_archive", "unpack", "unpacked"]

_CHUNK = 1 << 18
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
            for member in members(self.archive, most):
                entries += 1
                if entries > self.limits.entries:
                    raise RefusedError(Phrase("more than {count} entries", count=entries - 1))
                parts = self._claim(member)
                if member.is_folder:
                    self._make(parts)
                elif wanted("/".join(parts)):
                    self._make(parts[:-1])
                    self._copy(member, parts, most)
                    count += 1
        except RefusedError as error:
            raise _refusal(self.archive, error) from error
        except (EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
            raise _damaged(self.archive, str(error)) from error
        except (OSError, RuntimeError, NotImplementedError, ValueError) as error:
            # zipfile speaks of foreign features so, gzip of bytes that are not its own.
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise _damaged(self.archive, said) from error
        return count

    def _claim(self, member: Member) -> tuple[str, ...]:
        """The parts of the member's name, which nothing has taken before in any spelling."""
        parts = parts_of(member.name, self.limits.depth)
        if not parts and not member.is_folder:
            raise RefusedError(Phrase("has no name"), member.name)
        for end in range(1, len(parts) + 1):
            name, is_folder = "/".join(parts[:end]), end < len(parts) or member.is_folder
            folded = unicodedata.normalize("NFC", name).casefold()
            known, was_folder = self.seen.get(folded, ("", False))
            if not known:
                self.seen[folded] = name, is_folder
            elif known != name:
                raise RefusedError(
                    Phrase('differs from "{other}" in its case only', other=known), member.name
                )
            elif was_folder != is_folder:
                raise RefusedError(Phrase("is a file and a folder"), member.name)
            elif not is_folder:
                raise RefusedError(Phrase("is there twice"), member.name)
        return parts

    def _make(self, parts: tuple[str, ...]) -> None:
        with writing(self.folder):
            self.folder.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def _copy(self, member: Member, parts: tuple[str, ...], most: int) -> None:
        """Write one file; no more of it is unpacked than its entry announces."""
        if self.size + member.size > most:
            raise RefusedError(Phrase("more than {most} come out of it", most=amount(most)))
        if member.size > self.room - self.size:
            raise too_full(self.folder, member.size)
        path = self.folder.joinpath(*parts)
        written = 0
        with member.open() as source, _new_file(path) as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > member.size:
                    raise RefusedError(
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


def _refusal(archive: Path, error: RefusedError) -> DataError:
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
