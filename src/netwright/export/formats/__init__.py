"""The formats of exported networks, each a leaf of this folder: a function `(given, path)` that
writes a file and, as a fact, one `(path, given)` that opens it again for the parity check.

Facts of a leaf: `suffix` of its files; `opens` (the second function); `packages` it needs beside
Netwright's own; `runtime`, who runs the file; `graph`, whether the file holds the computation or
weights only; `use`, a function that gives a few lines of Python (see `netwright.export.example`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError, nearest
from netwright.core.registry import Entry, Registry
from netwright.data.preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """What a format needs of a trained network.

    `network` maps normalised float images to logits, on the CPU in evaluation mode. `dtype` is
    that of the images as they are stored: uint8 (0..255) or float32 (as the data gave them).
    `facts` go into the metadata of the file, text by text. `pack` and `unpack` turn the weights
    into the bytes of a weights file of ours and back.
    """

    network: nn.Module
    preprocessing: Preprocessing
    dtype: torch.dtype
    facts: Mapping[str, str]
    pack: Callable[[Mapping[str, str]], tuple[bytes | memoryview, ...]]
    unpack: Callable[[bytes], Mapping[str, Tensor]]


Runner: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Stored images (N, C, H, W) to logits and probabilities, each (N, num_classes)."""

Format: TypeAlias = Callable[[Exportable, Path], None]

FORMATS: Registry[Format] = Registry(
    "format", "netwright.export.formats", listing="netwright ls formats"
)


def find_format(path: Path, name: str | None = None) -> Entry[Format]:
    """The format called `name`, else the one that the suffix of `path` means.

    Raises `SettingError` when neither says one, or when they say two.
    """
    by_suffix = {each.facts["suffix"]: each for each in FORMATS}
    meant = by_suffix.get(path.suffix.lower())
    if name is not None:
        found = FORMATS.get(name)
        if meant is not None and meant.name != found.name:
            raise SettingError(
                "{path} ends as a file of {meant}, but --format says {name}.",
                hint="Give the file the ending {suffix}, or leave --format out.",
                path=str(path),
                meant=meant.name,
                name=found.name,
                suffix=found.facts["suffix"],
            )
        return found
    if meant is None:
        near = nearest(path.suffix, by_suffix)
        raise SettingError(
            "{path}: the ending does not say the format.",
            hint="Nearest: {near}." if near else "Expected one of {known}, or --format {names}.",
            path=str(path),
            near=", ".join(near),
            known=", ".join(by_suffix),
            names="|".join(FORMATS.names()),
        )
    return meant


def refuse_missing_packages(entry: Entry[Format]) -> None:
    """`SettingError` unless every package that the format needs can be imported."""
    for package in entry.facts["packages"]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise SettingError(
                "The format {name} needs {package}, which cannot be imported: {reason}.",
                hint='Install it: pip install "netwright[export]"',
                name=entry.name,
                package=package,
                reason=str(error).partition("\n")[0] or type(error).__name__,
            ) from error
