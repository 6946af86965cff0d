"""Downloads: published files, brought into the cache once, checked each time they are used.

    MNIST = Resource(name="train.gz", addresses=("https://...",), size=9912422, sha256="440f...")
    path = fetch(MNIST, folder=cache_home() / "data" / "mnist")

A file is complete or it is not there: it grows as `.NAME.part`, is checked, and renamed. An
interrupted download goes on where it stopped, now or in the next process.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from netwright.core.atomic import disk
from netwright.core.cache import amount, held, offline, writing
from netwright.core.errors import DataError, InterruptedRunError
from netwright.core.events import Noted
from netwright.core.languages import Phrase, Series
from netwright.core.transfer import Progress, Terms, TransferError, transfer

__all__ = ["Announce", "Progress", "Resource", "fetch", "log", "sha256_of"]

Announce: TypeAlias = Callable[[Noted], None]
"""Told of every download before it begins and when it is there, and of what was not checked."""

LIMIT = 20_000_000_000
SILENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One published file: its name in the cache, where it lies, and how to know it.

    `size` and `sha256` are as published, the latter whole or its first digits; with None nothing
    but the size can be checked, and that is said. `addresses` hold the same bytes and are asked in
    turn.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None = None
    sha256: str | None = None


def log(note: Noted) -> None:
    """What is announced when nobody listens: a line in the log."""
    logging.getLogger("netwright").info("%s", Phrase(note.template, **note.values))


def fetch(
    resource: Resource,
    *,
    folder: Path,
    announce: Announce = log,
    progress: Progress | None = None,
    limit: int = LIMIT,
    tries: int = 4,
    silence: float = SILENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """The path of `resource` in `folder`, downloaded if it is not there yet.

    `progress(held, total)` is called as bytes come in, `limit` is the most that is taken from a
    server. An attempt ends after `silence` seconds without a byte; after `tries` attempts that
    got no further, 1, 2, 4 ... seconds apart, the next address is asked.

    Raises `DataError` when no address gives the file that was published (what came instead is
    set aside, never used) or when `NETWRIGHT_OFFLINE` forbids to ask; `ExhaustedError` when the
    disk has no room; `InterruptedRunError` after Ctrl-C, with what has come kept.
    """
    target = folder / resource.name
    if _is_good(target, resource):
        return target
    if offline():
        raise DataError(
            "{file} is not in the cache, and NETWRIGHT_OFFLINE=1 forbids to download it.",
            hint="Take NETWRIGHT_OFFLINE away, or fetch {address} yourself and put it at {path}.",
            file=resource.name,
            address=resource.addresses[0],
            path=str(target),
        )
    terms = Terms(size=resource.size, limit=limit, silence=silence)
    with writing(folder):
        disk.make_folder(folder)
    part = folder / f".{resource.name}.part"
    with _part(part) as file:
        if _is_good(target, resource):  # another process has just brought it
            return target
        with writing(target):
            _set_aside(target)
        failures, others = [], 0
        for address in resource.addresses:
            announce(_announcement(resource, address))
            begun = file.seek(0, os.SEEK_END) > 0
            since = clock()
            try:
                _bring(address, file, resource, terms, progress, _Pauses(tries, sleep))
                if begun and not _matches(file, resource):  # perhaps two halves of two versions
                    file.truncate(0)
                    _bring(address, file, resource, terms, progress, _Pauses(tries, sleep))
                _check(file, part, resource)
            except TransferError as error:
                failures.append(Phrase("{address}: {reason}", address=address, reason=error.reason))
                others += isinstance(error, _OtherContentError)
                continue
            except KeyboardInterrupt:
                raise _interrupted(resource, part) from None
            if resource.sha256 is None:
                announce(_unchecked(resource))
            with writing(target):
                disk.sync(part)
                disk.rename(part, target)
                disk.sync(folder)
            announce(_here(resource, file.seek(0, os.SEEK_END), clock() - since))
            return target
    raise DataError(
        "Cannot download {file}: {failures}.",
        hint="A file of another content is published there now, or the checksum is not its own: "
        "compare it with the one published beside the file."
        if others == len(failures)
        else "Try again later: what has come is kept. Or fetch it yourself and put it at {path}.",
        file=resource.name,
        failures=Series(failures, between="; "),
        path=str(target),
    )


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return _sha256(file)


def _is_good(path: Path, resource: Resource) -> bool:
    """Whether `path` is the file that was published, as far as that can be known."""
    if not path.is_file():
        return False
    if resource.size is not None and path.stat().st_size != resource.size:
        return False
    return resource.sha256 is None or sha256_of(path).startswith(resource.sha256)


@contextlib.contextmanager
def _part(path: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, held by this process alone.

    While this one waited, the holder may have renamed the file it holds; then there is another.
    """
    while True:
        with contextlib.ExitStack() as stack:
            with writing(path):
                file = stack.enter_context(held(path))
                mine = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
            if mine:
                yield file
                return


class _OtherContentError(TransferError):
    """All has come, and it is not what was published: another attempt would bring the same."""


class _Pauses:
    """Counts attempts that got no further than those before, and waits between them."""

    def __init__(self, tries: int, sleep: Callable[[float], None]) -> None:
        self._tries = tries
        self._sleep = sleep
        self._vain = 0
        self._furthest = 0

    def again(self, reached: int) -> bool:
        """Whether to try again, after a pause, when the file has `reached` so many bytes."""
        self._vain = 0 if reached > self._furthest else self._vain + 1
        self._furthest = max(self._furthest, reached)
        if self._vain >= self._tries:
            return False
        self._sleep(2.0 ** max(self._vain - 1, 0))
        return True


def _bring(
    address: str,
    file: IO[bytes],
    resource: Resource,
    terms: Terms,
    progress: Progress | None,
    pauses: _Pauses,
) -> None:
    while True:
        if resource.sha256 is None:  # nothing would tell that two halves do not belong together
            file.truncate(0)
        try:
            transfer(address, file, terms, progress)
            return
        except TransferError as error:
            if not error.again or not pauses.again(file.seek(0, os.SEEK_END)):
                raise


def _check(file: IO[bytes], part: Path, resource: Resource) -> None:
    """`TransferError` when the file is not what was published; its bytes are then set aside."""
    size = file.seek(0, os.SEEK_END)
    if resource.size is not None and size != resource.size:
        raise TransferError(
            Phrase("it has {found} bytes, not {size}", found=size, size=resource.size), again=False
        )
    if _matches(file, resource):
        return
    found = _sha256(file)
    with writing(part):
        aside = part.with_name(f"{resource.name}.wrong-{found[:12]}")
        file.seek(0)
        with open(aside, "wb") as copy:
            while chunk := file.read(1 << 20):
                copy.write(chunk)
        file.truncate(0)
    raise _OtherContentError(
        Phrase(
            "wrong checksum: sha256 {found}..., expected {wanted}...; it was set aside as {aside}",
            found=found[:12],
            wanted=(resource.sha256 or "")[:12],
            aside=str(aside),
        ),
        again=False,
    )


def _matches(file: IO[bytes], resource: Resource) -> bool:
    return resource.sha256 is None or _sha256(file).startswith(resource.sha256)


def _sha256(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _set_aside(path: Path) -> None:
    """Rename a file of the cache that was damaged or changed since it was checked."""
    if path.is_file():
        disk.rename(path, path.with_name(f"{path.name}.wrong-{sha256_of(path)[:12]}"))


def _announcement(resource: Resource, address: str) -> Noted:
    size = Phrase("of unknown size") if resource.size is None else amount(resource.size)
    return Noted(
        word="NOTE",
        template="Downloading {address} ({size}).",
        values={"address": address, "size": size},
    )


def _here(resource: Resource, size: int, seconds: float) -> Noted:
    if resource.sha256 is None:
        template = "{file} is here: {size} in {seconds:.1f} s."
    else:
        template = "{file} is here: {size} in {seconds:.1f} s, checksum right."
    values = {"file": resource.name, "size": amount(size), "seconds": seconds}
    return Noted(word="OK", template=template, values=values)


def _interrupted(resource: Resource, part: Path) -> InterruptedRunError:
    """What Ctrl-C leaves. Without a checksum two halves could not be told to belong together."""
    held = part.stat().st_size if part.exists() else 0
    return InterruptedRunError(
        "Stopped by Ctrl-C; {held} of {file} are kept in {path}.",
        hint="Without a checksum the next download begins anew."
        if resource.sha256 is None
        else "The next download goes on from there.",
        exit_code=130,
        held=amount(held),
        file=resource.name,
        path=str(part),
    )


def _unchecked(resource: Resource) -> Noted:
    return Noted(
        word="WARN",
        template="{file}: no checksum is published; only its size was checked."
        if resource.size is not None
        else "{file}: neither checksum nor size is published; nothing was checked.",
        values={"file": resource.name},
    )
