"""The networks of the set-ups, small enough for a run of a second."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def stack(
    widths: Iterable[int], activation: Callable[[], nn.Module] = nn.ReLU, **between: Any
) -> nn.Sequential:
    """Flatten, then linear layers with an activation between them, batch norm and dropout if asked.

    >>> [type(each).__name__ for each in stack([4, 3, 2])]
    ['Flatten', 'Linear', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = [nn.Flatten()]
    pairs = list(itertools.pairwise(widths))
    for number, (wide, out) in enumerate(pairs):
        layers.append(nn.Linear(wide, out))
        if number < len(pairs) - 1:
            if between.get("norm"):
                layers.append(nn.BatchNorm1d(out))
            layers.append(activation())
            if between.get("dropout"):
                layers.append(nn.Dropout(between["dropout"]))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two convolutions with batch norm beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(inner)))


def small_resnet(width: int = 12, channels: int = 1, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width),
        nn.MaxPool2d(2),
        Residual(width),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def small_lenet(classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(384, 48),
        nn.ReLU(),
        nn.Linear(48, classes),
    )


class Attention(nn.Module):
    """Tokens and their places embedded, one encoder layer with the norm first, a mean, a head."""

    def __init__(
        self, kinds: int = 10, length: int = 12, width: int = 32, classes: int = 4
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(kinds, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.encoder = nn.TransformerEncoderLayer(
            width, 4, 64, dropout=0.1, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, rows: Tensor) -> Tensor:
        x = self.encoder(self.embed(rows) + self.place[: rows.shape[1]])
        return self.head(self.norm(x).mean(1))


class Recurrent(nn.Module):
    """A GRU over (N, T, 2); its last state is judged."""

    def __init__(self, width: int = 24, classes: int = 4) -> None:
        super().__init__()
        self.cell: nn.RNNBase = nn.GRU(2, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.cell(steps)
        return self.head(states[:, -1])


def he(model: nn.Module, gain: float = 1.0) -> nn.Module:
    """He's initialisation of every weight matrix, biases zero."""
    for each in model.modules():
        if isinstance(each, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(each.weight, nonlinearity="relu")
            with torch.no_grad():
                each.weight *= gain
            if each.bias is not None:
                nn.init.zeros_(each.bias)
    return model
