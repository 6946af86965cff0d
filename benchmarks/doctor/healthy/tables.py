"""Odd tables: hundreds of rare columns, targets in their own units, losses of the statistician."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached


def categories(seed: int, columns: int = 6, levels: int = 30) -> tuple[Tensor, Tensor]:
    """Levels by column, the low ones common and the high ones rare, and what they add up to."""
    draws = torch.Generator().manual_seed(seed)
    shares = 1.0 / torch.arange(1, levels + 1).float()
    x = torch.multinomial(shares, 3000 * columns, replacement=True, generator=draws)
    x = x.reshape(3000, columns)
    worth = torch.randn(columns, levels, generator=draws)
    total = sum(worth[each][x[:, each]] for each in range(columns))
    return x, total + 0.3 * torch.randn(3000, generator=draws)


@kind("one-hot-columns-by-the-hundred", at_least=0.8)
def one_hot_columns(seed: int, watched: Watched) -> float:
    """180 columns, most of them 0 in nearly every row."""
    x, total = categories(seed)
    table = data.split(F.one_hot(x, 30).flatten(1).float(), (total > 0).long(), seed)
    model = stack([180, 32, 2])
    fit(model, AdamW(model.parameters(), lr=3e-3, weight_decay=0.05), table, watched, epochs=6)
    return reached(model, table)


@kind("categories-embedded-beside-numbers", at_least=0.85)
def categories_embedded(seed: int, watched: Watched) -> float:
    """Two inputs, one of whole numbers: a sum of an embedding for each column and a linear part."""
    x, total = categories(seed)
    numbers = torch.randn(3000, 3, generator=torch.Generator().manual_seed(seed))
    y = (total + 2 * numbers[:, 0] * numbers[:, 1])[:, None]
    table = data.split(torch.cat([x.float(), numbers], 1), (y - y.mean()) / y.std(), seed)

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(30, 8) for _ in range(6))
            self.deep = stack([51, 64, 1])

        def forward(self, rows: Tensor, numbers: Tensor) -> Tensor:
            known = [table(rows[:, at]) for at, table in enumerate(self.tables)]
            return self.deep(torch.cat([*known, numbers], 1))

    model = Wide()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for a, b in batches(table.train, 64, 14):
            loss = F.mse_loss(model(a[:, :6].long(), a[:, 6:]), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    a, b = table.test
    return explained(model(a[:, :6].long(), a[:, 6:]), b)


@kind("columns-that-never-move", at_least=0.9)
def constant_columns(seed: int, watched: Watched) -> float:
    """Half of the columns are filled with zeros for lack of measurements."""
    x, y = data._digits()
    rows = torch.cat([x.flatten(1), torch.zeros(len(x), 64)], 1)
    table = data.split(rows, y, seed, val=297, test=360)
    model = stack([128, 64, 10], norm=True)
    fit(model, SGD(model.parameters(), lr=0.05, momentum=0.9), table, watched)
    return reached(model, table)


@kind("a-price-in-thousands", at_least=0.8)
def price_in_thousands(seed: int, watched: Watched) -> float:
    """The target as it comes, mean 22 and deviation 7; Adam brings the bias there in an epoch."""
    table = data.tabular(seed)
    table = data.Splits(*((x, 22 + 7 * y[:, :1]) for x, y in table))
    model = stack([8, 64, 64, 1])
    fit(model, Adam(model.parameters(), lr=1e-2), table, watched, epochs=16, loss=F.mse_loss)
    return reached(model, table, explained)


@kind("claims-by-gamma-deviance", at_least=0.75)
def gamma_deviance(seed: int, watched: Watched) -> float:
    """Amounts that scatter in proportion to their mean: R2 of the expected amounts' logarithm."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 6, generator=draws)
    mean = (1 + 0.6 * x[:, :1] - 0.5 * x[:, 1:2].abs()).exp()
    amount = mean * -torch.rand(2500, 2, generator=draws).clamp(1e-6).log().mean(1, keepdim=True)
    table = data.split(x, torch.cat([amount, mean], 1), seed)
    model = stack([6, 32, 1])
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for a, b in batches(table.train, 64, 10):
            said = model(a)
            loss = (said + b[:, :1] * (-said).exp()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(model(table.test[0]), table.test[1][:, 1:].log())


@kind("grades-by-cumulative-links", at_least=0.6)
def cumulative_links(seed: int, watched: Watched) -> float:
    """Five ordered grades from one number and four thresholds that are learned."""

    class Ordered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([8, 64, 64, 1])
            self.first = nn.Parameter(torch.tensor(-1.0))
            self.steps = nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            edges = torch.cat([self.first[None], F.softplus(self.steps)]).cumsum(0)
            below = torch.sigmoid(edges - self.body(x))
            below = F.pad(F.pad(below, (1, 0), value=0.0), (0, 1), value=1.0)
            return below.diff(dim=1).clamp(min=1e-6).log()

    table = data.tabular(seed)
    cuts = torch.tensor([-1.0, -0.3, 0.3, 1.0])
    table = data.Splits(*((x, torch.bucketize(y[:, 0], cuts)) for x, y in table))
    model = Ordered()
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.nll_loss, epochs=14)
    return reached(model, table)


@kind("failure-times-by-cox", at_least=0.72)
def cox(seed: int, watched: Watched) -> float:
    """The partial likelihood compares the rows of a batch; 3 of 10 are censored. Concordance."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 6, generator=draws)
    risk = x[:, 0] + x[:, 1] * x[:, 2]
    time = torch.rand(2500, generator=draws).clamp(1e-6).log().neg() * (-risk).exp()
    seen = (torch.rand(2500, generator=draws) < 0.7).float()
    table = data.split(x, torch.stack([time, seen, risk], 1), seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        order = y[:, 0].argsort(descending=True)
        ranked, event = output[order, 0], y[order, 1]
        return -((ranked - ranked.logcumsumexp(0)) * event).sum() / event.sum()

    def concordance(output: Tensor, y: Tensor) -> float:
        later = y[:, None, 0] > y[None, :, 0]
        return float((output < output.T)[later].float().mean())

    model = stack([6, 32, 32, 1])
    fit(model, Adam(model.parameters(), lr=3e-3), table, watched, loss=loss, epochs=10, batch=128)
    return reached(model, table, concordance)


@kind("squares-of-one-hot-labels", at_least=0.9)
def squares_of_one_hot(seed: int, watched: Watched) -> float:
    """Least squares as a classifier: the loss ends at a few hundredths and starts at a tenth."""
    digits = data.digits(seed)
    model = stack([64, 96, 10])
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched,
        loss=lambda output, y: F.mse_loss(output, F.one_hot(y, 10).float()),
    )  # fmt: skip
    return reached(model, digits, accuracy)
