"""What lies in a folder: image files by name, in an order that no machine changes.

Names are sorted by their bytes, names that are not UTF-8 are carried as Python carries them,
hidden files are passed over. Nothing but a regular file counts, and no link may leave the root.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from netwright.core.errors import DataError
from netwright.core.events import Noted
from netwright.core.languages import Phrase
from netwright.data.dataset import UnreadableImageError
from netwright.data.files import Bad, Listed
from netwright.data.reading import SUFFIXES, Header, Place, quiet, read_header


@dataclass
class Survey:
    """What was met on the way through a set: bad files, files that are no images, oddities."""

    bad: list[Bad] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    oddities: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[Noted]:
        """What a user should know of it, apart from the bad files."""
        notes = [
            Noted(word="NOTE", template=_ODDITIES[oddity], values={"count": count})
            for oddity, count in sorted(self.oddities.items())
        ]
        if self.others:
            notes.append(
                Noted(
                    word="NOTE",
                    template="{count} files are no images by their names and were passed over: "
                    "{kinds}.",
                    values={"count": self.others.total(), "kinds": self.kinds()},
                )
            )
        return notes

    def kinds(self) -> str:
        """The files that are no images, as `12 .txt, 1 .md`."""
        return ", ".join(f"{count} {suffix}" for suffix, count in self.others.most_common(4))


_ODDITIES = {
    "alpha": "{count} images have transparent parts: they are laid on white.",
    "16-bit": "{count} images are 16-bit grey: they are scaled to 8 bits.",
    "CMYK": "{count} images are CMYK: they are converted to RGB.",
    "animated": "{count} images have several frames: the first is taken.",
}


def folders(path: str) -> list[str]:
    """Names of the folders in `path` that are not hidden, sorted by bytes."""
    return [entry.name for entry in _entries(path) if _is_folder(entry)]


def image_names(path: str, root: str, survey: Survey) -> Iterator[str]:
    """Paths, relative to `path`, of the image files in it and in its sub-folders.

    What cannot be used is entered into `survey`. `root` is the folder that no link may leave.
    """
    yield from _walk(path, "", root, survey, (os.path.realpath(path),))


def inside(path: str, real_root: str) -> bool:
    """Whether `path`, with every link followed, lies under `real_root`."""
    real = os.path.realpath(path)
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)


def with_headers(paths: Sequence[tuple[Place, str]], survey: Survey) -> list[Listed | None]:
    """Each (path, name) with its header read; None, entered into `survey`, for a bad one."""

    def one(pair: tuple[Place, str]) -> Header | Phrase | str:
        path, name = pair
        try:
            return read_header(path, name=name)
        except UnreadableImageError as error:
            reason: Phrase | str = error.values["reason"]
            return reason

    listed: list[Listed | None] = []
    with quiet(), ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), 8)) as executor:
        for (path, name), header in zip(paths, executor.map(one, paths), strict=True):
            if isinstance(header, Header):
                survey.oddities.update(header.oddities)
                listed.append(Listed(path=path, name=name, header=header))
            else:
                survey.bad.append((name, header))
                listed.append(None)
    return listed


def _walk(
    path: str, below: str, root: str, survey: Survey, above: tuple[str, ...]
) -> Iterator[str]:
    real_root = os.path.realpath(root)
    for entry in _entries(path):
        name, known_as = os.path.join(below, entry.name), os.path.relpath(entry.path, root)
        is_image = os.path.splitext(entry.name)[1].lower() in SUFFIXES
        if entry.is_symlink() and not inside(entry.path, real_root):
            if is_image or _is_folder(entry):
                survey.bad.append((known_as, Phrase("a link that leaves the folder")))
            continue
        if _is_folder(entry):
            real = os.path.realpath(entry.path)
            if real in above:  # a link to a folder it lies in: there is no end to it
                survey.bad.append((known_as, Phrase("a link in a circle")))
                continue
            yield from _walk(entry.path, name, root, survey, (*above, real))
        elif not is_image:
            survey.others[os.path.splitext(entry.name)[1].lower() or entry.name] += 1
        elif not _is_regular(entry.path):
            survey.bad.append((known_as, Phrase("not a regular file")))
        else:
            yield name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be looked into
        return False


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # a link to nothing, or a file that has just gone
        return False


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            seen = [e for e in entries if not e.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(
            "Cannot look into {path}: {reason}.",
            hint="Expected a folder that this user may read.",
            path=path,
            reason=(error.strerror or str(error)).lower(),
        ) from error
    return sorted(seen, key=lambda entry: os.fsencode(entry.name))
