"""Parts of a network that are kept where nobody looks, cut away, or closed by what follows."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import swap, then, weighted

NARROW = ("bottleneck", "too-little-capacity", "underfitting")


class Apply(nn.Module):
    """A function of a tensor, as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class OfParts(nn.Module):
    """A model whose body stands in a namespace of parts."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.parts = SimpleNamespace(body=body)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        out = self.parts.body(x)
        return self.head(out[0][:, -1] if isinstance(out, tuple) else out)


class Partial(nn.Module):
    """A linear layer as a function whose weights are given already."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight = nn.Parameter(0.05 * layer.weight.detach())
        self.run = functools.partial(F.linear, weight=weight, bias=layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


class Closed(nn.Module):
    """A linear way, and beside it a branch behind a factor that is zero."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.way = nn.Linear(into, out)
        self.branch = nn.Sequential(
            nn.Linear(into, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, out)
        )
        self.register_buffer("factor", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x) + self.factor * self.branch(x)


@fault("a-body-in-a-namespace", "unregistered-parameters", on="gru deep-tanh")
def a_body_in_a_namespace(parts: Parts) -> None:
    """`self.parts = SimpleNamespace(body=...)`, as in a configuration."""
    model: Any = parts.model
    if hasattr(model, "cell"):
        nn.init.normal_(model.cell.weight_ih_l0, std=0.02)
        parts.model = OfParts(model.cell, model.head)
    else:
        parts.model = OfParts(model[:-1], model[-1])


@fault("a-partial-of-weights", "unregistered-parameters", on="regression binary autoencoder")
def a_partial_of_weights(parts: Parts) -> None:
    head = weighted(parts.model)[-1]
    swap(parts.model, nn.Linear, lambda each: each if each is head else Partial(each))


@fault("all-frozen-that-is-not-called-head", "frozen-parameters", on="transformer gru")
def all_frozen_that_is_not_called_head(parts: Parts) -> None:
    """A recipe for fine-tuning, and a network that nobody trained."""
    for name, each in parts.model.named_parameters():
        each.requires_grad_(name.startswith("head"))


@fault("a-crop-of-the-middle", *NARROW, on="lenet mlp",
       why="four pixels in the middle of 64: the rest is lost")  # fmt: skip
def a_crop_of_the_middle(parts: Parts) -> None:
    """A crop of two pixels that was meant to leave two at each border."""
    crop = Apply(lambda x: F.pad(x[..., 3:5, 3:5], (3, 3, 3, 3)))
    parts.model = nn.Sequential(crop, parts.model)


@fault("one-of-two-channels-read", *NARROW, on="gru",
       why="which way they turn is not to be seen in one number a step")  # fmt: skip
def one_of_two_channels_read(parts: Parts) -> None:
    parts.model = nn.Sequential(Apply(lambda x: x[..., :1].expand(-1, -1, 2)), parts.model)


@fault("a-branch-times-zero", "unused-parameters", "missing-nonlinearity", "dead-at-start",
       "loss-ignores-parameters", on="regression binary",
       why="all that bends is multiplied by zero and gets a gradient of zero")  # fmt: skip
def a_branch_times_zero(parts: Parts) -> None:
    """A factor that was to be learned, as a buffer."""
    layers = weighted(parts.model)
    parts.model = Closed(layers[0].in_features, layers[-1].out_features)


@fault("as-many-groups-as-numbers", "constant-output", "dead-at-start", "bottleneck",
       "batchnorm-small-batch", on="bn-mlp mlp deep-tanh",
       why="each number less itself is zero: nothing passes the norm")  # fmt: skip
def as_many_groups_as_numbers(parts: Parts) -> None:
    """`nn.GroupNorm(channels, channels)` on vectors."""
    swap(parts.model, nn.BatchNorm1d, lambda _: nn.Identity())
    first = weighted(parts.model)[0]
    width = first.out_features

    def normed(each: nn.Module) -> nn.Module:
        return nn.Sequential(each, nn.GroupNorm(width, width)) if each is first else each

    swap(parts.model, nn.Linear, normed)


@fault("a-norm-closes-the-network", "batchnorm-on-output", "output-activation-mismatch",
       on="segmentation autoencoder",
       why="answers of mean zero and spread one, whatever is asked")  # fmt: skip
def a_norm_closes_the_network(parts: Parts) -> None:
    model: Any = parts.model
    if isinstance(model[-1], nn.Sigmoid):
        parts.model = nn.Sequential(*model[:-1], nn.BatchNorm1d(64, affine=False))
    else:
        then(parts, nn.BatchNorm2d(1, affine=False))
