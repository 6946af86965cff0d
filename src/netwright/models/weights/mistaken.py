"""What lies where weights should be: nothing at all, a web page, or a pointer of Git LFS."""

from __future__ import annotations

from pathlib import Path

from netwright.core.errors import CheckpointError

_LFS = b"version https://git-lfs.github.com/spec/"
_MARKUP = (b"<!doctype", b"<html", b"<?xml")


def refuse_mistaken(path: Path, data: bytes) -> None:
    """Raise `CheckpointError`, with the way out, where `data` is one of these."""
    if not data:
        raise CheckpointError(
            "{path} is empty: it has 0 bytes.",
            hint="Download or copy it again.",
            path=str(path),
        )
    if data.startswith(_LFS):
        raise CheckpointError(
            "{path} is a pointer of Git LFS, and not the file that it stands for.",
            hint="Bring the file itself, in its repository: git lfs pull",
            path=str(path),
        )
    if data[:64].lstrip().lower().startswith(_MARKUP):
        raise CheckpointError(
            "{path} is a web page, and not a file of weights.",
            hint="A server has answered with a page (an error, a login). Open the address in a "
            "browser, and download the file from there.",
            path=str(path),
        )
