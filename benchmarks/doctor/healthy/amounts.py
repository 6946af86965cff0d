"""Odd losses: of amounts, by other rules than the square, or on targets of mostly noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import stack


@kind("huber-with-outliers", at_least=0.8)
def huber_with_outliers(seed: int, watched: Watched) -> float:
    table = data.tabular(seed)
    x, y = table.train
    y = torch.where(torch.rand(len(y), 1) < 0.02, 50 * y, y)
    table = table._replace(train=(x, y))
    model = stack([8, 64, 64, 3])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.HuberLoss(), epochs=16
    )  # fmt: skip
    return reached(model, table, explained)


@kind("ninth-decile", at_least=0.85)
def ninth_decile(seed: int, watched: Watched) -> float:
    """The pinball loss of a quantile: 1 minus ten times the error of the share below it."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        over = y - output
        return torch.maximum(0.9 * over, -0.1 * over).mean()

    table = data.tabular(seed)
    table = data.Splits(*((x, y[:, :1]) for x, y in table))
    model = stack([8, 32, 1])
    fit(model, Adam(model.parameters(), lr=3e-3), table, watched, loss=loss, epochs=10)
    x, y = table.test
    return 1 - abs(float((y < model(x)).float().mean()) - 0.9)


@kind("a-gaussian-with-its-variance", at_least=0.75)
def gaussian_likelihood(seed: int, watched: Watched) -> float:
    """The negative log likelihood goes far below 0, and should."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([8, 64, 64, 6])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mean, width = self.body(x).chunk(2, 1)
            return mean, F.softplus(width) + 1e-4

    table = data.tabular(seed)
    model = Both()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(table.train, 64, 20):
            mean, variance = model(x)
            loss = F.gaussian_nll_loss(mean, 0.05 * y, variance * 0.01)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, y = table.test
    return explained(model(x)[0], 0.05 * y)


@kind("counts-by-poisson", at_least=0.8)
def counts_by_poisson(seed: int, watched: Watched) -> float:
    """Whole numbers as targets of a regression: R2 of their expected values."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 5, generator=draws)
    rate = (0.5 * x[:, :1] + 0.4 * x[:, 1:2].abs() + 1).exp()
    table = data.split(x, torch.cat([torch.poisson(rate, generator=draws), rate], 1), seed)
    table = table._replace(
        train=(table.train[0], table.train[1][:, :1]), val=(table.val[0], table.val[1][:, :1])
    )
    model = stack([5, 32, 1])
    fit(
        model, Adam(model.parameters(), lr=4e-3), table, watched, loss=nn.PoissonNLLLoss()
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output.exp(), y[:, 1:]))


@kind("stars-from-1-to-5-by-squares", at_least=0.75)
def ratings_by_squares(seed: int, watched: Watched) -> float:
    """Few-valued targets that are numbers and not classes: R2 of an ordered rating."""
    table = data.tabular(seed)
    edges = torch.tensor([-1.0, -0.3, 0.3, 1.0])
    table = data.Splits(
        *((x, (torch.bucketize(y[:, 1], edges) + 1).float()[:, None]) for x, y in table)
    )
    model = stack([8, 64, 32, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=12
    )  # fmt: skip
    return reached(model, table, explained)


@kind("targets-that-are-mostly-noise", at_least=0.8)
def mostly_noise(seed: int, watched: Watched) -> float:
    """A fifth of the variance can be explained, and is: R2 against the rule without its noise."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 6, generator=draws)
    rule = (x[:, :1].sin() + 0.5 * x[:, 1:2]) * 0.8
    table = data.split(x, rule + 1.2 * torch.randn(3000, 1, generator=draws), seed)
    model = stack([6, 16, 1])
    fit(
        model, AdamW(model.parameters(), lr=3e-3, weight_decay=0.1), table, watched,
        loss=F.mse_loss, epochs=6,
    )  # fmt: skip
    x = table.test[0]
    return explained(model(x), (x[:, :1].sin() + 0.5 * x[:, 1:2]) * 0.8)


@kind("tanh-on-targets-within-its-range", at_least=0.8)
def tanh_within_range(seed: int, watched: Watched) -> float:
    table = data.Splits(*((x, (0.4 * y).tanh()) for x, y in data.tabular(seed)))
    model = stack([8, 64, 64, 3]).append(nn.Tanh())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, table, explained)


@kind("relu-on-amounts", at_least=0.75)
def relu_on_amounts(seed: int, watched: Watched) -> float:
    """Targets that are never negative, softplus and ReLU at the end."""
    table = data.Splits(*((x, y.clamp(min=0)) for x, y in data.tabular(seed)))
    model = stack([8, 64, 64, 3]).append(nn.Softplus()).append(nn.ReLU())
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, table, explained)
