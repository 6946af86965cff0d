"""The sources of data: each leaf of this folder reads one named set or one layout.

A leaf is a function `(request, options) -> Found`. Leaves of layouts publish `recognises`, a
function of a path that tells whether the leaf can read it, and `order`, which is asked first.

Choosing: write the path of your images, and the layout (`folder`, `table`, `idx`) is recognised; or
the name of a published set, which is taken from `data.path` or fetched once and checked. Where no
validation split is given, a part of training is set aside for it, from each class its share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from netwright.core.downloads import Announce, Progress, log
from netwright.core.events import Noted
from netwright.core.registry import Registry
from netwright.data.dataset import Images
from netwright.data.files import Bad


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the opener asks of a source.

    `place` is the path or `file.py:factory` as the user wrote it ("" for a named set), `size`
    the side the user wants or None for the source's own choice. `cache` is the setting: only
    a source that could not be read twice needs to know it. A source that fetches its files tells
    `announce` before it does, and `progress` while.
    """

    place: str = ""
    size: int | None = None
    seed: int = 0
    val_share: float = 0.1
    cache: Literal["auto", "memory", "stream"] = "auto"
    announce: Announce = log
    progress: Progress | None = None

    @property
    def path(self) -> Path:
        return Path(self.place)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a source has: its splits as it gives them, `all` for a set without any split.

    `layout` says in a few words how the data was recognised.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    parts: Mapping[str, Images]
    notes: tuple[Noted, ...] = ()
    quarantined: tuple[Bad, ...] = ()
    attribution: str = ""


Source: TypeAlias = Callable[[Request, Any], Found]

SOURCES: Registry[Source] = Registry(
    "data set", "netwright.data.sources", listing="netwright ls data"
)
