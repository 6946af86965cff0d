"""Weights from elsewhere, brought into the networks of this package: one file for each source.

An adapter is a function from the tensors of a file to the state dict of a registered network: it
undoes what was done to them for storage. Its facts say which network with which options, and how
images must be prepared.

    netwright train flowers/ model.weights=squeezenet-deep-compression:weights.safetensors

A file that says where it comes from is recognised without the adapter's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netwright import models
from netwright.core.registry import Entry, Registry
from netwright.models import MODELS
from netwright.models.weights.fitting import load_state_dict
from netwright.models.weights.reading import WeightsFile, read_weights_file

Adapter: TypeAlias = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""The tensors of a file as the state dict of the adapter's network."""

ADAPTERS: Registry[Adapter] = Registry(
    "adapter", "netwright.models.adapters", listing="netwright ls adapters"
)
"""Facts of a leaf: `network`, the registered name or a function from the tensors to it; `needs`,
the options the weights were trained with; `recognises(tensors, metadata)`, whether a file is of
this source; `short_side` and `size` (height, width) of the images, `mean` and `std` of their RGB
values between 0 and 1; `source`, with its licence."""


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A network with the weights of others, in evaluation mode, and the images it expects.

    An image is resized until its short side has `short_side` pixels, and its middle of `size`
    (height, width) is taken; `mean` and `std` are those of RGB values between 0 and 1.
    """

    module: nn.Module
    short_side: int
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) of RGB values 0 to 255 as the network expects them."""
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (self.mean, self.std))
        return (images.float() / 255 - mean) / std

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, 3, H, W) of RGB values 0 to 255."""
        logits: Tensor = self.module(self.normalise(images))
        return logits


def load_pretrained(name: str, path: str | Path) -> Pretrained:
    """The network of the adapter `name` with the weights of `path`, whole, its head too.

    Raises what `read_weights_file` does, and `SettingError` for weights of another network.
    """
    entry = ADAPTERS.get(name)
    file = read_weights_file(path)
    tensors = entry.target(file.tensors)
    network = network_of(entry, tensors)
    facts = MODELS.get(network).facts
    channels, *size = facts["input"]
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn only to be replaced
        model = models.build(
            network,
            num_classes=facts["classes"],
            in_channels=channels,
            input_size=(size[0], size[1]),
            options=entry.facts["needs"],
        )
    load_state_dict(model, tensors, source=str(path))
    images = {each: entry.facts[each] for each in ("short_side", "size", "mean", "std", "source")}
    return Pretrained(module=model.eval(), **images)


def recognised(file: WeightsFile) -> Entry[Adapter] | None:
    """The adapter for the source that a file is from, None if it is of no known one."""
    for entry in ADAPTERS:
        if entry.facts["recognises"](file.tensors, file.metadata):
            return entry
    return None


def network_of(entry: Entry[Adapter], tensors: Mapping[str, Tensor]) -> str:
    """The registered name of the network that an adapter's weights are for."""
    network: Any = entry.facts["network"]
    return str(network(tensors) if callable(network) else network)
