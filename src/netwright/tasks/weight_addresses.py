"""Weights at an address: brought into the cache once, and used only when their checksum is right.

    model.weights=https://example.org/resnet18-f37072fd.pth
    model.weights=https://example.org/model.safetensors#sha256=9f86d081884c7d65...

The checksum stands behind the address, or, as torchvision and timm name their files, in the name:
then these are the first eight digits. Without one an address is refused: what a server sends today
need not be what it sent when somebody looked.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from netwright.core import events as e
from netwright.core.cache import cache_home
from netwright.core.downloads import Resource, fetch
from netwright.core.errors import SettingError

LIMIT = 8 * 2**30
"""The most bytes that are taken from a server."""

_GIVEN = re.compile(r"sha256=([0-9a-fA-F]{8,64})")
_NAMED = re.compile(r"-([0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{64})\.\w+")


def is_address(text: str) -> bool:
    """Whether a text names a place on the network.

    >>> is_address("https://x.org/a.pth"), is_address("runs/first"), is_address("adapter:a.pth")
    (True, False, False)
    """
    return "://" in text


def resource_of(address: str) -> Resource:
    """The file at an address, with the checksum that it names.

    Raises `SettingError` for another scheme than http and https, for one that holds a password
    (it would stand in the run's settings), and where no checksum is given.

    >>> resource_of("https://x.org/resnet18-f37072fd.pth").sha256
    'f37072fd'
    """
    try:
        parts = urllib.parse.urlsplit(address)
        host = parts.hostname
    except ValueError:
        host, parts = None, urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise SettingError(
            "{address} is no address of weights: expected https://HOST/FILE#sha256=DIGITS.",
            address=address,
        )
    if parts.username is not None or parts.password is not None:
        raise SettingError(
            "The address of weights holds a name or a password, which a run would keep.",
            hint="Download the file, and give its path.",
        )
    name = urllib.parse.unquote(parts.path.rpartition("/")[2])
    given = _GIVEN.fullmatch(parts.fragment)
    named = _NAMED.search(name)
    if given is None and parts.fragment:
        raise SettingError(
            "#{fragment} is no checksum: expected #sha256= and 8 to 64 of its digits.",
            hint="sha256sum prints it for a file you trust.",
            fragment=parts.fragment,
        )
    if given is None and named is None:
        raise SettingError(
            "{address} names no checksum, and weights from the network are used only with one.",
            hint="Write {address}#sha256=DIGITS, as published beside the file (at least 8 of the "
            "64); sha256sum prints it for a file you trust.",
            address=urllib.parse.urlunsplit(parts._replace(fragment="")),
        )
    digits = (given or named)[1].lower()  # type: ignore[index]  # one of them matched
    plain = re.sub(r"[^\w.-]", "_", name)[-100:].lstrip(".") or "weights"
    if digits[:8] not in plain:
        stem, dot, suffix = plain.rpartition(".")
        plain = f"{stem}-{digits[:16]}.{suffix}" if dot else f"{plain}-{digits[:16]}"
    bare = urllib.parse.urlunsplit(parts._replace(fragment=""))
    return Resource(name=plain, addresses=(bare,), sha256=digits)


def cached_path(address: str) -> Path:
    """Where the file of an address lies, or will lie once it was fetched."""
    return _folder() / resource_of(address).name


def fetched(address: str, emit: Callable[[e.Event], None]) -> Path:
    """The file of an address, downloaded if it is not in the cache yet, its checksum checked.

    Raises what `resource_of` and `netwright.core.downloads.fetch` do.
    """
    return fetch(
        resource_of(address),
        folder=_folder(),
        announce=emit,
        progress=lambda held, total: emit(e.BytesCame(held=held, total=total)),
        limit=LIMIT,
    )


def _folder() -> Path:
    return cache_home() / "weights"
