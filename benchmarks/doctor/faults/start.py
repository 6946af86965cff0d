"""Faults of the start: weights and biases that a network begins with."""

from __future__ import annotations

import torch
from setups import Parts
from torch import nn

from faults import fault
from faults._surgery import again, swap, weighted


@fault("all-weights-zero", "symmetric-initialisation", on="mlp lenet regression autoencoder")
def all_weights_zero(parts: Parts) -> None:
    again(parts, lambda weight: weight.zero_())


@fault("all-weights-alike", "symmetric-initialisation", on="mlp regression binary")
def all_weights_alike(parts: Parts) -> None:
    again(parts, lambda weight: weight.fill_(0.05))


@fault(
    "all-filters-alike",
    "symmetric-initialisation",
    "duplicate-filters",
    on="lenet segmentation",
    why="filters that start alike stay alike: one fault by two names",
)
def all_filters_alike(parts: Parts) -> None:
    """One random filter, copied to every channel of every layer."""
    again(parts, lambda weight: weight.copy_(weight[:1].expand_as(weight).clone()))


@fault("hidden-layers-zero", "symmetric-initialisation", on="deep-tanh binary")
def hidden_layers_zero(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.weight.zero_()


@fault(
    "normal-of-deviation-one",
    "weights-too-large",
    "saturated-at-start",
    "initial-loss-off",
    on="deep-tanh deep-relu",
    why="what the weights do: they saturate tanh, and blow up the first loss of ReLU",
)
def normal_of_deviation_one(parts: Parts) -> None:
    again(parts, lambda weight: nn.init.normal_(weight, std=1.0))


@fault(
    "three-times-he",
    "weights-too-large",
    "exploding-gradients",
    on="deep-relu",
    why="forward and backward grow by the same gain",
)
def three_times_he(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model):
            each.weight.mul_(3)


@fault(
    "uniform-from-0-to-1",
    "weights-too-large",
    "initial-loss-off",
    on="mlp lenet",
    why="too large, and the first loss is off by as much",
)
def uniform_from_0_to_1(parts: Parts) -> None:
    """`torch.rand` where `torch.randn` times a factor was meant."""
    again(parts, lambda weight: nn.init.uniform_(weight))


@fault(
    "normal-of-a-hundredth",
    "weights-too-small",
    "vanishing-gradients",
    on="deep-relu deep-tanh autoencoder segmentation",
    why="forward and backward shrink by the same gain",
)
def normal_of_a_hundredth(parts: Parts) -> None:
    again(parts, lambda weight: nn.init.normal_(weight, std=0.01))


@fault(
    "saturated-tanh",
    "saturated-at-start",
    "weights-too-large",
    "saturation",
    on="deep-tanh",
    why="weights that are too large saturate the tanh from the start",
)
def saturated_tanh(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.weight.mul_(6)


@fault(
    "biases-far-below-zero",
    "dead-at-start",
    "dead-relu",
    on="mlp lenet deep-relu regression",
    why="dead at the start and later: the same units",
)
def biases_far_below_zero(parts: Parts) -> None:
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(-8.0)


@fault(
    "sigmoid-units-at-minus-12",
    "dead-at-start",
    "saturated-at-start",
    "vanishing-gradients",
    on="autoencoder binary",
    why="a sigmoid far below zero is saturated, and lets no gradient through",
)
def sigmoid_units_at_minus_12(parts: Parts) -> None:
    swap(parts.model, nn.ReLU, lambda _: nn.Sigmoid())
    with torch.no_grad():
        for each in weighted(parts.model)[:-1]:
            each.bias.fill_(-12.0)
