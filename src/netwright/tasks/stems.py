"""What is said of the stem: a network chooses the small one by itself, or is advised to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.core.events import Noted
from netwright.models import MODELS
from netwright.nn.stem import is_small


def stem_notes(name: str, options: Mapping[str, Any], size: tuple[int, int]) -> list[Noted]:
    """One line where images of `size` (height, width) are small for the network `name`.

    >>> [note.word for note in stem_notes("resnet18", {"stem": "auto"}, (32, 32))]
    ['NOTE']
    >>> stem_notes("resnet18", {"stem": "auto"}, (224, 224)), stem_notes("mlp", {}, (8, 8))
    ([], [])
    """
    stem = options.get("stem")
    if name not in MODELS or stem not in ("auto", "standard") or not is_small("auto", size):
        return []
    if stem == "auto":
        template = (
            "{model} takes images of {height}x{width} in by its small stem, which keeps them "
            "whole (model.stem=auto)"
        )
    else:
        template = (
            "{model} was made for larger images: of {height}x{width} its standard stem leaves "
            "little. model.stem=small keeps them whole"
        )
    values = {"model": name, "height": size[0], "width": size[1]}
    return [Noted(word="NOTE", template=template, values=values)]
