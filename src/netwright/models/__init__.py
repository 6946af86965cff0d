"""The architectures, each a leaf of this folder: a builder and the facts its paper states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import nn

from netwright.core import config
from netwright.core.errors import SettingError
from netwright.core.registry import Registry

Builder: TypeAlias = Callable[..., nn.Module]
"""Makes a network whose head gives logits (N, num_classes) for images (N, C, H, W).

All parameters are keyword-only: `num_classes: int = 10`, `in_channels: int = 1`,
`input_size: tuple[int, int] = (28, 28)`, and one for each field of the leaf's options class."""

MODELS: Registry[Builder] = Registry("model", "netwright.models", listing="netwright ls models")
"""Facts of a leaf: `input` (C, H, W) and `classes` it was published for, `params` it has then,
`smallest` side of an image it takes, `paper`."""


def build(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    input_size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The registered network `name` for images of `in_channels` x `input_size` (height, width).

    `options` are the settings under `model.`, without that prefix. Weights are drawn from
    torch's global generator: seed it first. Raises `UnknownNameError` for a name nobody
    registered and `SettingError` for an option out of range or an image too small.

    >>> build("mlp", num_classes=3, in_channels=1, input_size=(8, 8), options={"hidden": [4]})[-1]
    Linear(in_features=4, out_features=3, bias=True)
    """
    entry = MODELS.get(name)
    made: Any = config.build(entry.options or _NoOptions, options or {}, prefix="model.")
    chosen = {each.name: getattr(made, each.name) for each in dataclasses.fields(made)}
    smallest = entry.facts.get("smallest", 1)
    if min(input_size) < smallest:
        raise SettingError(
            "{model} needs images of at least {smallest}x{smallest} pixels; "
            "these are {height}x{width}.",
            hint="Enlarge them with data.size={smallest}, or choose another model.",
            model=entry.name,
            smallest=smallest,
            height=input_size[0],
            width=input_size[1],
        )
    return entry.target(
        num_classes=num_classes, in_channels=in_channels, input_size=input_size, **chosen
    )


@config.config
class _NoOptions:
    """A builder without settings refuses them by name, as one with settings does."""
