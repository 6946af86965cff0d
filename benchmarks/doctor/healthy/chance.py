"""Odd networks: chance inside them, in training and in use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import stack


@kind("heavy-dropout", at_least=0.92)
def heavy_dropout(seed: int, watched: Watched) -> float:
    """Six in ten dropped from wide layers: training looks worse than validation."""
    digits = data.digits(seed)
    model = stack([64, 256, 256, 10], dropout=0.6)
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("stochastic-depth", at_least=0.9)
def stochastic_depth(seed: int, watched: Watched) -> float:
    """Blocks that are left out at random: their parameters have no gradient at some steps."""

    class Maybe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 48))

        def forward(self, x: Tensor) -> Tensor:
            if self.training and torch.rand(()) < 0.4:
                return x
            return x + self.inner(x) * (1.0 if self.training else 0.6)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), *[Maybe() for _ in range(4)], nn.Linear(48, 10)
    )
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched)
    return reached(model, digits)


@kind("noise-at-every-layer", at_least=0.9)
def noise_at_every_layer(seed: int, watched: Watched) -> float:
    class Noise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0.3 * torch.randn_like(x) if self.training else x

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Noise(), nn.Linear(64, 64), nn.ReLU(), Noise(), nn.Linear(64, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("dropout-left-on-to-judge", at_least=0.88)
def dropout_left_on(seed: int, watched: Watched) -> float:
    """Monte Carlo dropout: the mean of ten passes in training mode, without gradients."""
    digits = data.digits(seed)
    model = stack([64, 128, 10], dropout=0.3)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(8):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                torch.stack([model(digits.val[0]).softmax(1) for _ in range(10)]).mean(0)
    return reached(model, digits)
