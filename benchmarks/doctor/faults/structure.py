"""Faults of the parts: what a network is built of, what is called, what is trained."""

from __future__ import annotations

import torch
from setups import Parts
from torch import Tensor, nn

from faults import fault
from faults._surgery import ACTIVATIONS, rows, swap, then, weighted
from networks import stack


@fault("no-activations", "missing-nonlinearity", on="regression binary autoencoder segmentation")
def no_activations(parts: Parts) -> None:
    swap(parts.model, ACTIVATIONS, lambda _: nn.Identity())


@fault("activations-built-and-not-called", "missing-nonlinearity", on="regression lenet mlp")
def activations_not_called(parts: Parts) -> None:
    """They are modules of the model, but its forward leaves them out."""

    class Chain(nn.Module):
        def __init__(self, layers: nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Tensor:
            for each in self.layers.children():
                if not isinstance(each, ACTIVATIONS):
                    x = each(x)
            return x

    parts.model = Chain(parts.model)


@fault(
    "blocks-that-are-not-called",
    "unused-parameters",
    "missing-nonlinearity",
    on="regression binary",
    why="what is left when the hidden layers are not called is an affine map",
)
def blocks_that_are_not_called(parts: Parts) -> None:
    class Skips(nn.Module):
        def __init__(self, body: nn.Module, features: int, out: int) -> None:
            super().__init__()
            self.body = body
            self.head = nn.Linear(features, out)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x)

    layers = weighted(parts.model)
    parts.model = Skips(parts.model, layers[0].in_features, layers[-1].out_features)


class Listed(nn.Module):
    """Hidden layers in a plain list: no module knows of them."""

    def __init__(self, hidden: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.hidden = hidden
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        for each in self.hidden:
            x = each(x)
        return self.head(x)


@fault("layers-in-a-plain-list", "unregistered-parameters", on="mlp lenet regression deep-tanh")
def layers_in_a_plain_list(parts: Parts) -> None:
    layers = list(parts.model.children())
    parts.model = Listed(layers[:-1], layers[-1])


@fault("all-but-the-head-frozen", "frozen-parameters", on="regression lenet binary deep-relu")
def all_but_the_head_frozen(parts: Parts) -> None:
    """Frozen for a test, and never thawed: nothing here was trained before."""
    for each in weighted(parts.model)[:-1]:
        each.requires_grad_(False)


@fault(
    "a-group-of-rate-zero",
    "frozen-parameters",
    "stale-optimizer",
    on="regression deep-tanh",
    why="a rate of 0 freezes; a group far apart from the others is a slip of the optimizer",
)
def a_group_of_rate_zero(parts: Parts) -> None:
    make, head = parts.optimizer, weighted(parts.model)[-1]

    def optimizer(_: object, rate: float) -> torch.optim.Optimizer:
        own = {id(each) for each in head.parameters()}
        rest = [each for each in parts.model.parameters() if id(each) not in own]
        groups = [{"params": rest, "lr": 0.0}, {"params": list(head.parameters()), "lr": rate}]
        return make(groups, rate)

    parts.optimizer = optimizer


@fault(
    "two-units-in-the-middle",
    "bottleneck",
    "too-little-capacity",
    on="mlp lenet autoencoder",
    why="a layer that is too narrow is too little capacity at one place",
)
def two_units_in_the_middle(parts: Parts) -> None:
    if parts.model[0].__class__ is nn.Sequential:
        parts.model = nn.Sequential(stack([64, 48, 1]), stack([1, 48, 64]), nn.Sigmoid())
        return
    head = weighted(parts.model)[-1]
    wide, out = head.in_features, head.out_features
    parts.model = nn.Sequential(
        *list(parts.model.children())[:-1],
        nn.Linear(wide, 2),
        nn.ReLU(),
        nn.Linear(2, out),
    )


@fault(
    "one-channel-between-blocks",
    "bottleneck",
    "too-little-capacity",
    on="resnet segmentation",
    why="a layer that is too narrow is too little capacity at one place",
)
def one_channel_between_blocks(parts: Parts) -> None:
    layers = list(parts.model.children())
    middle = 4
    wide = 12 if isinstance(layers[0], nn.Conv2d) and layers[0].out_channels == 12 else 16
    squeeze = nn.Sequential(
        nn.Conv2d(wide, 1, 3, stride=1, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(1, wide, 1),
    )
    parts.model = nn.Sequential(*layers[:middle], squeeze, *layers[middle:])


@fault(
    "three-units-a-layer",
    "too-little-capacity",
    "underfitting",
    "bottleneck",
    on="mlp regression deep-relu binary",
    why="too small to fit is underfitting by its cause; each layer is narrow too",
)
def three_units_a_layer(parts: Parts) -> None:
    layers = weighted(parts.model)
    widths = [layers[0].in_features, *[3] * (len(layers) - 1), layers[-1].out_features]
    parts.model = stack(widths)


@fault(
    "a-wide-network-on-forty-rows",
    "too-much-capacity",
    "overfitting",
    on="regression binary",
    why="too many parameters for the samples, which shows as overfitting",
)
def a_wide_network_on_forty_rows(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(40))
    wide = [weighted(parts.model)[0].in_features, 512, 512, weighted(parts.model)[-1].out_features]
    parts.model = stack(wide)
    parts.epochs *= 6
    parts.batch = 20


@fault(
    "output-times-zero",
    "constant-output",
    "loss-ignores-parameters",
    "dead-at-start",
    on="mlp regression",
    why="a factor of 0 makes the output constant and cuts every gradient",
)
def output_times_zero(parts: Parts) -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("share", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.share * x

    then(parts, Gate())


@fault(
    "everything-pooled-away",
    "constant-output",
    "bottleneck",
    "batch-mixing",
    on="lenet",
    why="a mean over batch and pixels leaves one row for all: constant, and mixed",
)
def everything_pooled_away(parts: Parts) -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(0, keepdim=True).expand_as(x)

    layers = list(parts.model.children())
    parts.model = nn.Sequential(*layers[:-1], Mean(), layers[-1])
