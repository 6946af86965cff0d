"""The architectures, each a leaf of this folder: a builder and the facts its paper states.

Choosing: on small images and a small machine `lenet5` for grey ones, `resnet20` for all others; on
photographs `resnet18`, with less memory `mobilenet_v2`; the larger ones for their public weights.
Parameters are what is stored, multiply-adds (of convolutions and linear layers, for one image) what
is computed; neither is time. Networks with a `stem` take images below 64 pixels whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import functional_call

from netwright.core import config
from netwright.core.errors import SettingError
from netwright.core.registry import Entry, Registry

Builder: TypeAlias = Callable[..., nn.Module]
"""Makes a network whose head gives logits (N, num_classes) for images (N, C, H, W).

All parameters are keyword-only: `num_classes: int = 10`, `in_channels: int = 1`,
`input_size: tuple[int, int] = (28, 28)`, and one for each field of the leaf's options class."""

MODELS: Registry[Builder] = Registry("model", "netwright.models", listing="netwright ls models")
"""Facts of a leaf: `input` (C, H, W) and `classes` it was published for, the `params` it has then
and the `macs`, multiply-adds of its convolutions and linear layers for one image (a bias, a
norm, an activation and a pooling count none); the `smallest` side of an image it takes, and with
its standard stem (`standard_smallest`); `paper`; where the paper's own figures are others,
`paper_params`, `paper_macs`, and in `differs` why. `torchvision` is the name of the network there
whose state dict has the same names and shapes."""


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
    _check_size(entry, input_size, chosen)
    model = entry.target(
        num_classes=num_classes, in_channels=in_channels, input_size=input_size, **chosen
    )
    if chosen.get("norm") == "instance":
        _check_instance_norm(entry, model, (in_channels, *input_size))
    return model


def _check_size(
    entry: Entry[Builder], input_size: tuple[int, int], chosen: Mapping[str, Any]
) -> None:
    smallest = int(entry.facts.get("smallest", 1))
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
    standard = int(entry.facts.get("standard_smallest", 1))
    if chosen.get("stem") == "standard" and min(input_size) < standard:
        raise SettingError(
            "{model} with its standard stem needs images of at least {smallest}x{smallest} pixels; "
            "these are {height}x{width}.",
            hint="Set model.stem=small, made for small images, or enlarge them with "
            "data.size={smallest}.",
            model=entry.name,
            smallest=standard,
            height=input_size[0],
            width=input_size[1],
        )


def _check_instance_norm(
    entry: Entry[Builder], model: nn.Module, shape: tuple[int, int, int]
) -> None:
    """A map of one pixel has no spread; torch says so in the first step, here it is said before.

    The network runs on the meta device, which knows shapes and computes nothing.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    empty = {name: torch.empty_like(each, device="meta") for name, each in tensors}
    try:
        with torch.no_grad():
            functional_call(model, empty, (torch.empty((2, *shape), device="meta"),))
    except ValueError as error:
        raise SettingError(
            "model.norm: instance needs maps of more than one pixel, and {model} has smaller "
            "ones for images of {height}x{width}.",
            hint="Enlarge them with data.size, or set model.norm=group.",
            model=entry.name,
            height=shape[1],
            width=shape[2],
        ) from error


@config.config
class _NoOptions:
    """A builder without settings refuses them by name, as one with settings does."""
