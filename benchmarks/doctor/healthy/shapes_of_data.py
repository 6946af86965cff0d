"""Data that are neither a table nor a picture: coordinates, clouds of points, graphs, pairs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, SparseAdam

import data
from healthy import kind
from healthy._plain import batches, fit, reached


def scene() -> tuple[Tensor, Tensor]:
    """A picture of 40 by 40 as a function of the place: (1600, 2) in -1..1 and (1600, 1)."""
    at = torch.linspace(-1, 1, 40)
    x = torch.cartesian_prod(at, at)
    y = (7 * x[:, 0] + 3 * x[:, 1]).sin() * (5 * x[:, 1] ** 2).cos() + (x.norm(dim=1) < 0.5).float()
    return x, y[:, None]


@kind("a-picture-of-sines", at_least=0.9)
def sines(seed: int, watched: Watched) -> float:
    """Layers of sin(30 x): weights of the first are large, units turn around many times."""

    class Sine(nn.Module):
        def __init__(self, wide: int, out: int, factor: float, bound: float) -> None:
            super().__init__()
            self.linear, self.factor = nn.Linear(wide, out), factor
            nn.init.uniform_(self.linear.weight, -bound, bound)

        def forward(self, x: Tensor) -> Tensor:
            return (self.factor * self.linear(x)).sin()

    bound = math.sqrt(6 / 48) / 12
    model = nn.Sequential(
        Sine(2, 48, 12, 0.5), Sine(48, 48, 12, bound), Sine(48, 48, 12, bound), nn.Linear(48, 1)
    )
    x, y = scene()
    optimizer = Adam(model.parameters(), lr=1e-3)
    with watched(model, optimizer):
        for a, b in batches((x, y), 200, 60):
            loss = F.mse_loss(model(a), b)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return explained(model(x).detach(), y)


@kind("places-as-fourier-features", at_least=0.9)
def fourier_features(seed: int, watched: Watched) -> float:
    """Random frequencies kept in a buffer; the whole picture in each step, never a validation."""

    class Encoded(nn.Module):
        frequencies: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("frequencies", 1.2 * torch.randn(2, 48))
            self.body = stack([96, 64, 1])

        def forward(self, x: Tensor) -> Tensor:
            turns = 2 * math.pi * x @ self.frequencies
            return self.body(torch.cat([turns.sin(), turns.cos()], 1))

    x, y = scene()
    model = Encoded()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for _ in range(300):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    return explained(model(x).detach(), y)


def clouds(seed: int, rows: int = 1500) -> tuple[Tensor, Tensor]:
    """40 points on a ball, a cube or a ring, turned anyhow: (N, 40, 3)."""
    draws = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 3, (rows,), generator=draws)
    x = torch.randn(rows, 40, 3, generator=draws)
    ball = F.normalize(x, dim=2)
    cube = x / x.abs().amax(2, keepdim=True)
    ring = F.normalize(x * torch.tensor([1.0, 1.0, 0.05]), dim=2)
    each = torch.stack([ball, 0.8 * cube, ring])[kinds, torch.arange(rows)]
    turn = torch.linalg.qr(torch.randn(rows, 3, 3, generator=draws)).Q
    return each @ turn + 0.03 * torch.randn(rows, 40, 3, generator=draws), kinds


@kind("clouds-of-points", at_least=0.85)
def cloud(seed: int, watched: Watched) -> float:
    """One small network for all points, the maximum over them, a head."""

    class Points(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each = nn.Sequential(
                nn.Linear(3, 48), nn.ReLU(), nn.Linear(48, 96), nn.ReLU(), nn.Linear(96, 96)
            )
            self.head = nn.Sequential(nn.Linear(192, 48), nn.ReLU(), nn.Linear(48, 3))

        def forward(self, x: Tensor) -> Tensor:
            known = self.each(x)
            return self.head(torch.cat([known.amax(1), known.mean(1)], 1))

    sets = data.split(*clouds(seed), seed)
    model = Points()
    fit(model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=14)
    return reached(model, sets)


def citations(seed: int, size: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """A graph whose neighbours mostly share a class: normalised adjacency, features, classes."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (size,), generator=draws)
    same = (y[:, None] == y[None]).float()
    edges = (torch.rand(size, size, generator=draws) < 0.03 * same + 0.002).float()
    edges = ((edges + edges.T + torch.eye(size)) > 0).float()
    root = edges.sum(1).rsqrt()
    x = F.one_hot(y, 4).float() @ torch.randn(4, 30, generator=draws)
    return (
        edges * root[:, None] * root[None],
        x + 2.5 * torch.randn(size, 30, generator=draws),
        y,
    )


@kind("a-graph-of-which-a-tenth-is-known", at_least=0.75)
def graph(seed: int, watched: Watched) -> float:
    """Two graph convolutions; the same rows go in each step, and those of the validation too."""

    class Convolved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(30, 24), nn.Linear(24, 4)

        def forward(self, x: Tensor, near: Tensor) -> Tensor:
            x = F.dropout(near @ self.first(x), 0.5, self.training).relu()
            return near @ self.second(x)

    near, x, y = citations(seed)
    known, asked = torch.arange(400) < 60, torch.arange(400) >= 200
    model = Convolved()
    optimizer = Adam(model.parameters(), lr=1e-2, weight_decay=5e-3)
    with watched(model, optimizer):
        for _ in range(120):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x, near)[known], y[known]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(x, near)[60:200], y[60:200]).item()
    return accuracy(model(x, near)[asked], y[asked])


@kind("words-from-their-company", at_least=0.85)
def company(seed: int, watched: Watched) -> float:
    """Negative sampling with two sparse tables, no network at all: neighbours of a word's kind."""

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Embedding(80, 12, sparse=True)
            self.outer = nn.Embedding(80, 12, sparse=True)
            nn.init.zeros_(self.outer.weight)

        def forward(self, word: Tensor, others: Tensor) -> Tensor:
            return (self.inner(word)[:, None] * self.outer(others)).sum(2)

    draws = torch.Generator().manual_seed(seed)
    topic = torch.randint(0, 8, (8000,), generator=draws)
    pairs = topic[:, None] + 8 * torch.randint(0, 10, (8000, 2), generator=draws)
    model = Words()
    optimizer = SparseAdam(list(model.parameters()), lr=2e-2)
    told = torch.tensor([1.0, 0, 0, 0, 0])
    with watched(model, optimizer):
        for word, true in batches((pairs[:, 0], pairs[:, 1]), 128, 5):
            others = torch.cat([true[:, None], torch.randint(0, 80, (len(word), 4))], 1)
            output = model(word, others)
            loss = F.binary_cross_entropy_with_logits(output, told.expand_as(output))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    known = F.normalize(model.inner.weight.detach(), dim=1)
    nearest = (known @ known.T - 2 * torch.eye(80)).argmax(1)
    return float((nearest % 8 == torch.arange(80) % 8).float().mean())


@kind("stars-by-factors", at_least=0.6)
def factors(seed: int, watched: Watched) -> float:
    """A product of two tables and two biases, at a decay; each row is met a few times an epoch."""

    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users, self.films = nn.Embedding(150, 6), nn.Embedding(100, 6)
            self.strict, self.good = nn.Embedding(150, 1), nn.Embedding(100, 1)
            self.mean = nn.Parameter(torch.tensor(3.5))
            for each in (self.users, self.films, self.strict, self.good):
                nn.init.normal_(each.weight, std=0.1)

        def forward(self, pairs: Tensor) -> Tensor:
            user, film = pairs[:, 0], pairs[:, 1]
            taste = (self.users(user) * self.films(film)).sum(1)
            return self.mean + taste + self.strict(user)[:, 0] + self.good(film)[:, 0]

    draws = torch.Generator().manual_seed(seed)
    users, films = (torch.randn(n, 3, generator=draws) for n in (150, 100))
    pairs = torch.cartesian_prod(torch.arange(150), torch.arange(100))
    pairs = pairs[torch.randperm(len(pairs), generator=draws)[:7000]]
    stars = 3.5 + 0.7 * (users[pairs[:, 0]] * films[pairs[:, 1]]).sum(1) + films[pairs[:, 1], 0]
    stars = (stars + 0.3 * torch.randn(7000, generator=draws)).round().clamp(1, 5)
    sets = data.split(pairs, stars, seed, val=800, test=1000)
    model = Factors()
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.02)
    fit(model, optimizer, sets, watched, loss=F.mse_loss, epochs=10, batch=128)
    said = model(sets.test[0])[:, None].detach()
    return explained(said, sets.test[1][:, None])


@kind("angles-on-a-circle", at_least=0.8)
def angles(seed: int, watched: Watched) -> float:
    """A periodic target as a point on a circle, the output normalised: mean cosine on the test."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 6, generator=draws)
    angle = 1.5 * x[:, 0] + x[:, 1] * x[:, 2]
    sets = data.split(x, torch.stack([angle.cos(), angle.sin()], 1), seed)
    body = stack([6, 64, 64, 2], nn.ELU)

    class Circle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor) -> Tensor:
            return F.normalize(self.body(x), dim=1)

    model = Circle()
    fit(
        model, SGD(model.parameters(), lr=0.1, momentum=0.9), sets, watched, epochs=24,
        loss=lambda output, y: 1 - (output * y).sum(1).mean(),
    )  # fmt: skip
    return reached(model, sets, lambda output, y: float((output * y).sum(1).mean()))
