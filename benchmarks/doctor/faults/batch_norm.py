"""Faults of batch norm: its batches, its running statistics, its place."""

from __future__ import annotations

import torch
from setups import Parts
from torch import nn

from faults import fault
from faults._surgery import on_targets, rows, then


@fault("batch-norm-in-batches-of-two", "batchnorm-small-batch", on="bn-mlp resnet")
def batch_norm_in_batches_of_two(parts: Parts) -> None:
    parts.batch = 2
    parts.train = rows(parts.train, torch.arange(480))
    parts.epochs = 3


@fault("running-statistics-that-never-arrive", "batchnorm-bad-momentum", on="bn-mlp resnet")
def running_statistics_never_arrive(parts: Parts) -> None:
    """0.9999 was meant as the share that is kept, as in other frameworks."""
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 1e-4


@fault("running-statistics-of-the-last-batch", "batchnorm-bad-momentum", on="bn-mlp resnet")
def running_statistics_of_the_last_batch(parts: Parts) -> None:
    for each in parts.model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.momentum = 1.0
    parts.batch = 6
    parts.epochs = 4


@fault("dropout-before-batch-norm", "dropout-before-batchnorm", on="bn-mlp mlp")
def dropout_before_batch_norm(parts: Parts) -> None:
    parts.model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.BatchNorm1d(64),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.7),
        nn.BatchNorm1d(64),
        nn.Linear(64, 10),
    )


@fault("logits-normalised", "batchnorm-on-output", on="mlp lenet resnet")
def logits_normalised(parts: Parts) -> None:
    then(parts, nn.BatchNorm1d(10, affine=False))


@fault("targets-predicted-by-a-norm", "batchnorm-on-output", on="regression")
def targets_predicted_by_a_norm(parts: Parts) -> None:
    on_targets(parts, lambda y: 4 * y + 3)
    then(parts, nn.BatchNorm1d(3, affine=False))
