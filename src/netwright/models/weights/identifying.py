"""Whose weights are these? The registered network that a file's names and shapes fit."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from netwright.core import config
from netwright.core.errors import SettingError
from netwright.core.registry import Entry
from netwright.models import MODELS, Builder
from netwright.models.weights.fitting import Shape, fit_module, own_tensors

# No layer of any network has as many outputs, so the head alone differs by it.
_CLASSES = 1009


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A network, and the options that differ from those it has anyway."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: int = 3

    def __str__(self) -> str:
        return " ".join(
            [self.name, *(f"model.{n}={config.show(v)}" for n, v in self.options.items())]
        )


def identify(given: Mapping[str, Shape]) -> Identity | None:
    """The first registered network that tensors of the shapes `given` fit, None if none does.

    Networks are built on the meta device, which allocates nothing; those whose names differ are
    not tried with other options. The number of classes does not matter.
    """
    tensors = {name: torch.empty(shape, device="meta") for name, shape in given.items()}
    for entry in MODELS:
        if not _alike(_names(entry.name), set(given)):
            continue
        for channels in dict.fromkeys((_channels(entry), 3, 1)):
            fitting = [
                options
                for options in _variants(entry)
                for model in [_built(entry, options, channels)]
                if model is not None and fit_module(model, tensors, num_classes=_CLASSES).good
            ]
            if fitting:  # of stems that both fit, none need be named
                options = fitting[0] if len(fitting) == 1 else {}
                return Identity(name=entry.name, options=options, channels=channels)
    return None


@functools.cache
def _names(name: str) -> frozenset[str]:
    """The names in the state dict of a registered network; made once, for they are many."""
    entry = MODELS.get(name)
    model = _built(entry, {}, _channels(entry))
    return frozenset(own_tensors(model)) if model is not None else frozenset()


def _alike(own: frozenset[str], given: set[str]) -> bool:
    """Whether most names are shared: the options tried change few of them."""
    return len(own & given) > 0.8 * len(own | given)


def _variants(entry: Entry[Builder]) -> Iterator[dict[str, Any]]:
    names = {each.name for each in config.settings_of(entry.options)} if entry.options else set()
    if "stem" in names:
        yield {"stem": "standard"}
        yield {"stem": "small"}
    else:
        yield {}


def _channels(entry: Entry[Builder]) -> int:
    return int(entry.facts.get("input", (3,))[0])


def _built(entry: Entry[Builder], options: Mapping[str, Any], channels: int) -> nn.Module | None:
    """The network on the meta device, None where these options do not go with its images."""
    size = tuple(entry.facts.get("input", (3, 224, 224)))[1:]
    given = vars(config.build(entry.options, options)) if entry.options else {}
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return entry.target(
                num_classes=_CLASSES, in_channels=channels, input_size=size, **given
            )
    except (SettingError, RuntimeError, NotImplementedError):
        return None
