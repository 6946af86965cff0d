"""Faults of which the training loss knows nothing: what is learned does not hold elsewhere."""

from __future__ import annotations

import torch
from setups import Parts, Training, plain
from torch import nn

from faults import fault
from faults._surgery import draws, on_inputs, on_targets, rows, weighted
from networks import stack


@fault(
    "learned-by-heart",
    "overfitting",
    "too-much-capacity",
    on="regression mlp binary",
    why="few rows and many epochs: overfitting, by too much capacity for them",
)
def learned_by_heart(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(80))
    parts.batch = 16
    parts.epochs *= 8


@fault(
    "overfits-noisy-targets",
    "overfitting",
    "label-noise",
    "memorised-noise",
    on="regression",
    why="targets with as much noise as signal, learned by heart",
)
def overfits_noisy_targets(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(250))
    generator = draws(parts)
    on_targets(parts, lambda y: y + torch.randn(y.shape, generator=generator), "train val")
    parts.epochs *= 8
    parts.schedule = None


@fault(
    "a-linear-model-of-a-curved-world",
    "underfitting",
    "too-little-capacity",
    on="regression binary",
    why="one linear layer cannot follow: too little capacity, by its effect",
)
def a_linear_model(parts: Parts) -> None:
    layers = weighted(parts.model)
    parts.model = stack([layers[0].in_features, layers[-1].out_features])


@fault(
    "a-smooth-model-of-fine-detail",
    "underfitting",
    "too-little-capacity",
    "bottleneck",
    on="segmentation autoencoder",
    why="one narrow layer: too little capacity, by its effect",
)
def a_smooth_model(parts: Parts) -> None:
    if parts.train[0].shape[1] == 3:
        parts.model = nn.Sequential(nn.Conv2d(3, 1, 1))
    else:
        parts.model = nn.Sequential(stack([64, 2]), nn.Linear(2, 64), nn.Sigmoid())


@fault(
    "random-labels-learned-by-heart",
    "memorised-noise",
    "labels-inconsistent",
    "label-noise",
    "overfitting",
    on="mlp deep-relu",
    why="labels without a rule: noise by each of its names, and learned by heart",
)
def random_labels_learned_by_heart(parts: Parts) -> None:
    parts.train = rows(parts.train, torch.arange(300))
    order = torch.randperm(300, generator=draws(parts))
    on_targets(parts, lambda y: y[order], "train")
    parts.epochs *= 8


@fault("twelve-samples-to-judge-by", "validation-too-small", on="binary gru mlp", hurts="honesty")
def twelve_samples_to_judge_by(parts: Parts) -> None:
    generator = draws(parts)
    parts.val = rows(parts.val, torch.arange(12))
    parts.epochs = 4
    on_inputs(parts, lambda x: x + 0.8 * torch.randn(x.shape, generator=generator))


@fault(
    "the-best-of-many-looks",
    "validation-overused",
    "validation-too-small",
    on="binary mlp",
    hurts="honesty",
    why="many choices by a set that is small",
)
def the_best_of_many_looks(parts: Parts) -> None:
    """The best of sixty epochs by thirty samples is what is reported."""
    generator = draws(parts)
    parts.val = rows(parts.val, torch.arange(30))
    parts.train = rows(parts.train, torch.arange(200))
    on_inputs(parts, lambda x: x + 0.8 * torch.randn(x.shape, generator=generator))
    parts.epochs = 60

    def loop(training: Training) -> None:
        plain(training)
        training.reported.append(max(training.reported))

    parts.loop = loop
