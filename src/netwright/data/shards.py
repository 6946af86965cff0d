"""Images in tar files that stay packed: where in which tar each one begins, and its label.

The headers of a tar are walked through once; what was found is kept in the cache, under the
path, length and time of the tar. After that any image can be read at once, so that the order of a
training is what it would be with loose files, and a resume reads nothing it does not need.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias

from netwright.core.archive_members import RefusedError, parts_of, tar_places
from netwright.core.atomic import make_folder, write_bytes
from netwright.core.cache import cache_home
from netwright.core.errors import DataError, ExhaustedError
from netwright.core.languages import Phrase
from netwright.data.files import Listed
from netwright.data.listing import Survey, with_headers
from netwright.data.reading import SUFFIXES, Header, Part, open_regular

Label: TypeAlias = int | str

FORMAT = 1
MOST_MEMBERS = 2_000_000
_DEEPEST = 32
_LONGEST_LABEL = 1 << 16
_LABEL_KEYS = ("label", "cls", "class")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 100_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image in a tar, and the label that a `.cls` or `.json` beside it gives; `folders` are
    those it lies in inside the tar."""

    file: Listed
    label: Label | None
    folders: tuple[str, ...]


@dataclass
class _Scan:
    """What one tar holds, sorted by what it is for; a key is a name up to its first dot."""

    images: dict[str, list[tuple[str, Part]]] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def expanded(pattern: str) -> list[str]:
    """The paths that `{000..009}` stands for, as a shell writes it.

    >>> expanded("s-{08..10}.tar")
    ['s-08.tar', 's-09.tar', 's-10.tar']
    """
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < _MOST_SHARDS:
        raise DataError(
            "{pattern} stands for no tar files.",
            hint="Expected the lower number first, as in shards-{{000..009}}.tar.",
            pattern=pattern,
        )
    before, after = pattern[: match.start()], pattern[match.end() :]
    width = len(match[1]) if match[1].startswith("0") else 1
    numbers = (f"{number:0{width}d}" for number in range(first, last + 1))
    return [path for number in numbers for path in expanded(f"{before}{number}{after}")]


def is_pattern(path: str) -> bool:
    """Whether `path` is a tar, or several, by numbers in braces."""
    return path.endswith(".tar") and _RANGE.search(path) is not None


def samples_of(path: str, name: str, survey: Survey) -> list[Sample]:
    """The images of the tar at `path`, called `name`, in their order in it.

    Bad images, and files that are none, are entered into `survey`. Raises `DataError` with the name
    of the tar for one that is damaged, cut off, compressed, or holds anything but plain files
    with honest names.
    """
    path = os.path.abspath(path)
    kept = _Kept.of(path)
    rows = kept.read() if kept is not None else None
    if rows is not None:
        samples = [_restored(row, path, name) for row in rows]
        survey.oddities.update(odd for each in samples for odd in each.file.header.oddities)
        return samples
    before = len(survey.bad), survey.others.total()
    samples = _scanned(path, name, survey)
    if kept is not None and before == (len(survey.bad), survey.others.total()):
        kept.write([_row(each, name) for each in samples])
    return samples


def _scanned(path: str, name: str, survey: Survey) -> list[Sample]:
    scan = _scan(path, name)
    chosen: list[tuple[str, Part, str]] = []
    for key, images in scan.images.items():
        if key in scan.labels and len(images) > 1:
            # With a label of its own a sample is one image; a mask beside it is another thing.
            images.sort(key=lambda each: len(each[0]))
            scan.others += [member for member, _ in images[1:]]
            del images[1:]
        chosen += [(member, part, key) for member, part in images]
    survey.others.update(os.path.splitext(each)[1].lower() or each for each in scan.others)
    listed = with_headers([(part, f"{name}/{member}") for member, part, _ in chosen], survey)
    return [
        Sample(file=file, label=scan.labels.get(key), folders=tuple(member.split("/")[:-1]))
        for (member, _, key), file in zip(chosen, listed, strict=True)
        if file is not None
    ]


def _scan(path: str, name: str) -> _Scan:
    found = _Scan()
    seen: set[str] = set()
    try:
        with open_regular(path) as file:
            for written, start, length in tar_places(file):
                member = "/".join(parts_of(written, _DEEPEST))
                if not member:
                    raise RefusedError(Phrase("has no name"), written)
                if member in seen:
                    raise RefusedError(Phrase("is there twice"), member)
                if len(seen) == MOST_MEMBERS:
                    raise RefusedError(Phrase("more than {count} entries", count=MOST_MEMBERS))
                seen.add(member)
                _sort_in(found, member, Part(path, start, length), file)
    except RefusedError as error:
        raise DataError(
            'The tar {path} is refused: "{member}" {reason}.'
            if error.name
            else "The tar {path} is refused: {reason}.",
            hint="Expected regular files inside one folder, each once.",
            path=name,
            member=error.name,
            reason=error.reason,
        ) from error
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        said = error.strerror if isinstance(error, OSError) else ""
        raise DataError(
            "Cannot read the tar {path}: {reason}.",
            hint="Expected a whole .tar that is not compressed; make or fetch it again.",
            path=name,
            reason=said.lower() if said else Phrase("it is damaged or cut off"),
        ) from error
    return found


def _sort_in(found: _Scan, member: str, part: Part, file: IO[bytes]) -> None:
    folder, slash, base = member.rpartition("/")
    if base.startswith(".") or folder.startswith("__MACOSX"):
        return
    stem, _, kind = base.partition(".")
    key, kind = folder + slash + stem, kind.lower()
    if os.path.splitext(base)[1].lower() in SUFFIXES:
        found.images.setdefault(key, []).append((member, part))
    elif kind in ("cls", "json"):
        if part.length > _LONGEST_LABEL:
            raise RefusedError(Phrase("is too long for a label"), member)
        text = os.pread(file.fileno(), part.length, part.start)
        label = _label(text, kind, member)
        if label is not None:
            found.labels.setdefault(key, label)
    else:
        found.others.append(member)


def _label(text: bytes, kind: str, member: str) -> Label | None:
    """The label in a `.cls` (a number or a word) or a `.json` (label, cls or class)."""
    try:
        value: Any = text.decode("utf-8").strip()
        if kind == "json":
            record = json.loads(value)
            values = record if isinstance(record, dict) else {}
            value = next((values[key] for key in _LABEL_KEYS if key in values), None)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Phrase("holds no label that can be read"), member) from error
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise RefusedError(Phrase("holds no label that can be read"), member)
    return value


@dataclass(frozen=True)
class _Kept:
    """The place in the cache of what is known of one tar."""

    file: Any
    about: dict[str, Any]

    @classmethod
    def of(cls, path: str) -> _Kept | None:
        try:
            facts = os.stat(path)
        except OSError:
            return None  # reading it will say why
        about = {
            "format": FORMAT,
            "path": os.fsencode(path).hex(),
            "size": facts.st_size,
            "changed": facts.st_mtime_ns,
        }
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
        return cls(cache_home() / "shards" / f"{digest}.json", about)

    def read(self) -> list[list[Any]] | None:
        """The rows, None where there are none or they are not as they were written."""
        try:
            document = json.loads(self.file.read_bytes())
            rows: list[list[Any]] = document["rows"]
            content = json.dumps(rows).encode()
            if document["about"] == self.about and document["sha256"] == _sha256(content):
                return rows
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return None

    def write(self, rows: list[list[Any]]) -> None:
        document = {
            "about": self.about,
            "sha256": _sha256(json.dumps(rows).encode()),
            "rows": rows,
        }
        with contextlib.suppress(ExhaustedError):  # then it is walked through again next time
            make_folder(self.file.parent)
            write_bytes(self.file, json.dumps(document).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _row(sample: Sample, name: str) -> list[Any]:
    part, header = sample.file.path, sample.file.header
    assert isinstance(part, Part)
    member = sample.file.name.removeprefix(f"{name}/")
    about = [*header.size, header.grey, list(header.oddities), header.mark.hex()]
    return [member, part.start, part.length, sample.label, *about]


def _restored(row: Sequence[Any], path: str, name: str) -> Sample:
    member, start, length, label, height, width, grey, oddities, mark = row
    header = Header(
        size=(height, width), grey=grey, oddities=tuple(oddities), mark=bytes.fromhex(mark)
    )
    file = Listed(path=Part(path, start, length), name=f"{name}/{member}", header=header)
    return Sample(file=file, label=label, folders=tuple(member.split("/")[:-1]))


def is_shard(path: str) -> bool:
    """Whether the file at `path` is a tar that begins with an image and its label."""
    names: list[str] = []
    damage = (OSError, EOFError, ValueError, tarfile.TarError, RefusedError)
    with contextlib.suppress(*damage), open_regular(path) as file:
        names = [name.lower() for name, _, _ in itertools.islice(tar_places(file), 2)]
    if not path.lower().endswith(".tar") or len(names) < 2:
        return False
    first, second = (os.path.basename(name).partition(".") for name in names)
    kinds = {first[2], second[2]}
    is_image = any(os.path.splitext(name)[1] in SUFFIXES for name in names)
    return first[0] == second[0] and is_image and bool(kinds & {"cls", "json"})
