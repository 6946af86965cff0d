"""Odd losses and odd few parameters: laws of nature, ratios, ranks, what a straight line leaves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


@kind("three-constants-of-a-decay-as-usual", at_least=0.95)
def three_constants(seed: int, watched: Watched) -> float:
    """Height, rate and rest of an exponential: three parameters, eighty points, all in a step."""

    class Decay(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.height, self.rate, self.rest = (nn.Parameter(torch.tensor(1.0)) for _ in range(3))

        def forward(self, t: Tensor) -> Tensor:
            return self.height * (-self.rate.exp() * t).exp() + self.rest

    t = torch.linspace(0, 4, 80)
    y = 3 * (-0.9 * t).exp() + 0.4 + 0.05 * torch.randn(80)
    model = Decay()
    optimizer = Adam(model.parameters(), lr=2e-2)
    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(500):
            optimizer.zero_grad()
            F.mse_loss(model(t), y).backward()
            optimizer.step()
    with torch.no_grad():
        return explained(model(t)[:, None], y[:, None])


@kind("an-orbit-by-small-steps-of-its-law", at_least=0.9)
def orbit(seed: int, watched: Watched) -> float:
    """A neural differential equation: Euler's steps through a network that gives the velocity."""

    class Flow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.law = stack([2, 48, 2], nn.Tanh)

        def forward(self, x: Tensor) -> Tensor:
            seen = []
            for _ in range(10):
                x = x + 0.2 * self.law(x)
                seen.append(x)
            return torch.stack(seen, 1)

    draws = torch.Generator().manual_seed(seed)
    begin = torch.randn(800, 2, generator=draws)
    time = 0.2 * torch.arange(1, 11)
    turn = torch.stack([time.cos(), time.sin(), -time.sin(), time.cos()], 1).view(-1, 2, 2)
    path = torch.einsum("tij,nj->nti", turn, begin) * (-0.1 * time).exp()[:, None]
    sets = data.split(begin, path, seed, val=100, test=200)
    model = Flow()
    return taught(
        model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=20, batch=50,
        loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("errors-in-parts-of-the-amount-as-usual", at_least=0.8)
def relative(seed: int, watched: Watched) -> float:
    """Amounts from one to a thousand by the mean relative error, through an exponential."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 8, generator=draws)
    log = 3.5 + x[:, :1] + 0.7 * x[:, 1:2] * x[:, 2:3] + 0.1 * torch.randn(2000, 1, generator=draws)
    sets = data.split(x, log.exp(), seed)

    class Amount(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = stack([8, 64, 64, 1])
            nn.init.constant_(self.inner[-1].bias, 3.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).exp()

    model = Amount()
    fit(
        model, Adam(model.parameters(), lr=2e-3), sets, watched, epochs=20,
        loss=lambda output, y: ((output - y).abs() / y).mean(), clip=5.0,
    )  # fmt: skip
    return reached(model, sets, lambda output, y: explained(output.log(), y.log()))


@kind("the-logarithm-of-a-cosh", at_least=0.85)
def log_cosh(seed: int, watched: Watched) -> float:
    model = stack([8, 64, 64, 3], nn.SiLU)
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.tabular(seed), watched, epochs=16,
        loss=lambda output, y: ((output - y) + F.softplus(-2 * (output - y)) - 0.6931).mean(),
        score=explained,
    )  # fmt: skip


@kind("each-positive-above-each-negative", at_least=0.9)
def area(seed: int, watched: Watched) -> float:
    """A smooth area under the curve of pairs within a batch; one in ten is positive."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2600, 10, generator=draws)
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.2 * torch.randn(2600, generator=draws)
    y = (score > score.quantile(0.9)).float()
    sets = data.split(x, y, seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        apart = output[y > 0.5][:, None] - output[y < 0.5][None]
        return F.softplus(-apart).mean() if apart.numel() else 0 * output.sum()

    model = nn.Sequential(stack([10, 48, 1]), nn.Flatten(0))
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(sets.train, 100, 20):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    with torch.no_grad():
        output, y = model(sets.test[0]), sets.test[1]
    return float((output[y > 0.5][:, None] > output[y < 0.5][None]).float().mean())


@kind("exponentials-of-signs-as-usual", at_least=0.8)
def exponentials(seed: int, watched: Watched) -> float:
    """Labels of minus one and one under the exponential loss, at a small rate with a clip."""
    table = data.table_of_two(seed)
    sets = data.Splits(*((x, 2 * y - 1) for x, y in table))
    model = stack([12, 48, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3, weight_decay=1e-3), sets, watched, epochs=16,
        loss=lambda output, y: (-y * output).exp().mean(), clip=1.0,
    )  # fmt: skip
    return reached(model, sets, lambda output, y: float(((output > 0) == (y > 0)).float().mean()))


@kind("what-a-straight-line-leaves-as-usual", at_least=0.5)
def residue(seed: int, watched: Watched) -> float:
    """A network for the rest that least squares leave: small targets, much of them noise."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2400, 10, generator=draws)
    y = x @ torch.randn(10, 1, generator=draws) * 3 + x[:, :1] * x[:, 1:2] + x[:, 2:3].abs()
    y = y + 0.7 * torch.randn(2400, 1, generator=draws)
    ones = torch.cat([x, torch.ones(2400, 1)], 1)
    rest = y - ones @ torch.linalg.lstsq(ones[:1700], y[:1700]).solution
    model = stack([10, 64, 1])
    return taught(
        model, Adam(model.parameters(), lr=2e-3, weight_decay=1e-4), data.split(x, rest, seed),
        watched, epochs=14, batch=50, loss=nn.MSELoss(), score=explained, keep_best=True,
    )  # fmt: skip


@kind("first-which-half-then-which-one", at_least=0.9)
def two_levels(seed: int, watched: Watched) -> float:
    """A softmax of two levels: below five or not, and which of the five."""

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 96]), nn.ReLU())
            self.which, self.one = nn.Linear(96, 2), nn.Linear(96, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.body(x)
            half = self.which(x).log_softmax(1)
            return (self.one(x).view(-1, 2, 5).log_softmax(2) + half[:, :, None]).flatten(1)

    model = Levels()
    return taught(
        model, SGD(model.parameters(), lr=0.1, momentum=0.9), data.digits(seed), watched,
        epochs=10, loss=nn.NLLLoss(),
    )  # fmt: skip


@kind("scripted-before-it-is-trained-as-usual", at_least=0.9)
def scripted(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = torch.jit.trace(small_lenet(), digits.train[0][:2])
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 32, 6):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("three-classes-more-with-a-memory-of-the-old", at_least=0.9)
def with_a_memory(seed: int, watched: Watched) -> float:
    """Seven digits first; then three more, each batch half of a memory of those before."""
    digits, model = data.digits(seed), small_lenet()
    old = digits.train[1] < 7
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches((digits.train[0][old], digits.train[1][old]), 32, 8):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        rows = old.nonzero()[:, 0]
        for x, y in batches((digits.train[0][~old], digits.train[1][~old]), 16, 12):
            again = rows[torch.randint(0, len(rows), (32,))]
            x, y = torch.cat([x, digits.train[0][again]]), torch.cat([y, digits.train[1][again]])
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits, accuracy)
