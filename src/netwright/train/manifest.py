"""The manifest of a checkpoint folder: the size and the hash of every file in it.

    {"format": 1, "step": 123, "files": {"state.pt": {"bytes": 4096, "sha256": "..."}, ...}}

It is written last, so a folder with a manifest is complete, and read first: no byte of another
file is looked at before its hash was right. Whatever is wrong is damage, never a crash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from netwright.core.errors import CheckpointError
from netwright.core.languages import say

MANIFEST = "manifest.json"

_LARGEST = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def manifest_of(step: int, contents: Mapping[str, Iterable[bytes | memoryview]]) -> bytes:
    """The manifest of files whose contents are given in parts."""
    return _bytes({"format": 1, "step": step, "files": {n: _facts(p) for n, p in contents.items()}})


def verified(path: Path, *, step: int, name: str, files: Iterable[str]) -> dict[str, bytes]:
    """The bytes of each file in the folder `path`, after sizes and hashes were compared.

    `step` and `files` are what the manifest must at least name; `name` is what messages call
    the checkpoint. Raises `CheckpointError` saying what is damaged.
    """
    try:
        manifest = _parsed(_read(path / MANIFEST, at_most=_LARGEST), files)
        if manifest["step"] != step:
            raise ValueError(say("{file} belongs to another step", file=MANIFEST))
        return {
            file: _matching(path / file, facts["bytes"], facts["sha256"])
            for file, facts in manifest["files"].items()
        }
    except OSError as error:
        file = Path(os.fsdecode(error.filename or path)).name
        raise damage(name, f"{file}: {os.strerror(error.errno or 0).lower()}") from error
    except ValueError as error:
        raise damage(name, str(error)) from error


def damage(name: str, reason: str) -> CheckpointError:
    """The error of a checkpoint that is not what was written; `values["reason"]` says why."""
    return CheckpointError("The checkpoint {name} is damaged: {reason}.", name=name, reason=reason)


def _facts(parts: Iterable[bytes | memoryview]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _bytes(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2) + "\n").encode("ascii")


def _parsed(data: bytes, files: Iterable[str]) -> dict[str, Any]:
    """The manifest in `data`; raises `ValueError` for anything that we did not write."""
    try:
        manifest = json.loads(data)
        # Only the very bytes we would write are accepted: so a flipped bit in a space shows.
        ours = isinstance(manifest, dict) and _bytes(manifest) == data and _fits(manifest, files)
    except (ValueError, RecursionError):
        ours = False
    if not ours:
        raise ValueError(say("{file} is not a manifest", file=MANIFEST))
    return manifest


def _fits(manifest: Mapping[str, Any], files: Iterable[str]) -> bool:
    named = manifest.get("files")
    return (
        manifest.get("format") == 1
        and _whole(manifest.get("step"))
        and isinstance(named, dict)
        and set(files) <= set(named)
        and all(_plain(file) and _sized(facts) for file, facts in named.items())
    )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _plain(file: str) -> bool:
    """Whether `file` names a file in the folder itself: nothing outside is ever opened."""
    return file not in ("", ".", "..", MANIFEST) and "/" not in file and "\0" not in file


def _sized(facts: object) -> bool:
    return (
        isinstance(facts, dict)
        and _whole(facts.get("bytes"))
        and isinstance(facts.get("sha256"), str)
        and _DIGEST.fullmatch(facts["sha256"]) is not None
    )


def _matching(path: Path, size: int, digest: str) -> bytes:
    data = _read(path, at_most=size)
    if len(data) != size:
        raise ValueError(
            say("{file} has {found} bytes, not {size}", file=path.name, found=len(data), size=size)
        )
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(say("{file} does not match its hash", file=path.name))
    return data


def _read(path: Path, *, at_most: int) -> bytes:
    """The bytes of a regular file: no link is followed, no pipe or device waited for."""
    with open(path, "rb", opener=_open_warily) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(say("{file} is not a regular file", file=path.name))
        if facts.st_size > at_most:
            raise ValueError(say("{file} is larger than it should be", file=path.name))
        return file.read()


def _open_warily(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
