"""Ordinary networks on tables: prices, kinds, tags, grades, some with a ceiling of noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, accuracy_of_two, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

import data
from healthy import kind
from healthy._everyday import taught
from networks import stack

both = F.binary_cross_entropy_with_logits


def houses(seed: int, rows: int = 2400) -> data.Splits:
    """Nine standardised features, some skewed and some copies of each other; a standardised price
    of which a fifth is noise."""
    draws = torch.Generator().manual_seed(seed)
    base = torch.randn(rows, 6, generator=draws)
    area = base[:, 0].mul(0.5).exp()
    rooms = area * (1 + 0.1 * base[:, 1])
    age = 50 * torch.rand(rows, generator=draws)
    x = torch.stack([area, rooms, age, *base[:, 2:].unbind(1)], 1)
    east, north = base[:, 2], base[:, 3]
    x = torch.cat([x, (east * north)[:, None], (east + 0.2 * north)[:, None]], 1)
    price = 1.5 * area + 0.8 * (-(east**2) - north**2).exp() * 3 - 0.01 * age + 0.4 * base[:, 4]
    price = (price - price.mean()) / price.std() + 0.45 * torch.randn(rows, generator=draws)
    x = (x - x.mean(0)) / x.std(0)
    return data.split(x, ((price - price.mean()) / price.std())[:, None], seed)


def blobs(
    seed: int, rows: int, kinds: int, width: int, apart: float, val: int, test: int
) -> data.Splits:
    """Round clouds, one for each kind."""
    draws = torch.Generator().manual_seed(seed)
    centres = apart * torch.randn(kinds, width, generator=draws)
    y = torch.randint(0, kinds, (rows,), generator=draws)
    x = centres[y] + torch.randn(rows, width, generator=draws)
    return data.split(x, y, seed, val=val, test=test)


@kind("prices-of-houses", at_least=0.7)
def prices(seed: int, watched: Watched) -> float:
    model = stack([9, 64, 32, 1])
    return taught(
        model, Adam(model.parameters(), lr=1e-3), houses(seed), watched, epochs=20,
        loss=nn.MSELoss(), score=explained,
    )  # fmt: skip


@kind("prices-by-wide-and-deep", at_least=0.7)
def wide_and_deep(seed: int, watched: Watched) -> float:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.deep = nn.Linear(9, 1), stack([9, 48, 24, 1])

        def forward(self, x: Tensor) -> Tensor:
            return self.wide(x) + self.deep(x)

    model = Both()
    optimizer = AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    return taught(
        model, optimizer, houses(seed), watched, epochs=14, batch=64, loss=nn.SmoothL1Loss(),
        score=explained, schedule=StepLR(optimizer, 6, 0.3),
    )  # fmt: skip


@kind("three-flowers-of-150-rows-as-usual", at_least=0.85)
def flowers(seed: int, watched: Watched) -> float:
    """Four measures, three kinds, two of them close: ninety rows to train on, in small batches."""
    draws = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.5, 2.0]])
    spread = torch.tensor([0.4, 0.3, 0.35, 0.2])
    y = torch.arange(150) % 3
    x = centres[y] + spread * torch.randn(150, 4, generator=draws)
    x = (x - x.mean(0)) / x.std(0)
    sets = data.split(x, y, seed, val=30, test=30)
    model = stack([4, 16, 3])
    return taught(model, Adam(model.parameters(), lr=1e-2), sets, watched, epochs=30, batch=16)


@kind("ordinary-two-half-moons", at_least=0.95)
def moons(seed: int, watched: Watched) -> float:
    draws = torch.Generator().manual_seed(seed)
    angle, y = 3.1416 * torch.rand(700, generator=draws), torch.arange(700) % 2
    x = torch.stack([angle.cos(), angle.sin()], 1)
    x = torch.where(y[:, None] == 1, torch.tensor([1.0, 0.5]) - x, x)
    x = x + 0.15 * torch.randn(x.shape, generator=draws)
    sets = data.split(x, y.float()[:, None], seed, val=100, test=200)
    model = stack([2, 16, 16, 1])
    return taught(
        model, Adam(model.parameters(), lr=1e-2), sets, watched, epochs=20,
        loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two,
    )  # fmt: skip


@kind("three-arms-of-a-spiral", at_least=0.95)
def spiral(seed: int, watched: Watched) -> float:
    draws = torch.Generator().manual_seed(seed)
    y, far = torch.arange(900) % 3, torch.rand(900, generator=draws)
    angle = 4 * far + 2.094 * y + 0.15 * torch.randn(900, generator=draws)
    x = torch.stack([far * angle.cos(), far * angle.sin()], 1)
    sets = data.split(x, y, seed, val=100, test=200)
    model = stack([2, 100, 3])
    return taught(
        model, SGD(model.parameters(), lr=0.5, momentum=0.9), sets, watched, epochs=30, batch=100
    )  # fmt: skip


@kind("a-curve-of-one-number", at_least=0.96)
def curve(seed: int, watched: Watched) -> float:
    """The first regression of every course: a sine and a little noise."""
    draws = torch.Generator().manual_seed(seed)
    x = 6 * torch.rand(700, 1, generator=draws) - 3
    y = (2 * x).sin() + 0.1 * torch.randn(700, 1, generator=draws)
    sets = data.split(x, y, seed, val=100, test=200)
    model = stack([1, 40, 40, 1], nn.Tanh)
    return taught(
        model, Adam(model.parameters(), lr=1e-2), sets, watched, epochs=100,
        loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("half-of-it-is-noise", at_least=0.35)
def half_noise(seed: int, watched: Watched) -> float:
    """Progress of a disease: what ten measures can say of it is half of the variance."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(1400, 10, generator=draws)
    signal = x @ torch.linspace(-1, 1, 10) + 0.5 * x[:, 0] * x[:, 9]
    y = signal / signal.std() + torch.randn(1400, generator=draws)
    sets = data.split(x, (y / y.std())[:, None], seed)
    model = stack([10, 32, 1])
    optimizer = Adam(model.parameters(), lr=2e-3, weight_decay=1e-3)
    return taught(
        model, optimizer, sets, watched, epochs=8, loss=nn.MSELoss(), score=explained
    )  # fmt: skip


@kind("customers-who-leave-as-usual", at_least=0.72)
def churn(seed: int, watched: Watched) -> float:
    """Two classes that overlap: the best possible is right three times in four or a bit more."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2600, 14, generator=draws)
    logit = 1.2 * x[:, 0] - 0.9 * x[:, 1] + 0.8 * x[:, 2] * x[:, 3] + 0.7 * x[:, 4]
    y = (torch.rand(2600, generator=draws) < logit.sigmoid()).float()[:, None]
    model = stack([14, 32, 16, 1], dropout=0.2)
    return taught(
        model, AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        data.split(x, y, seed), watched, epochs=14, batch=64, loss=both, score=accuracy_of_two,
        patience=4, keep_best=True,
    )  # fmt: skip


@kind("one-in-eight-without-weights-as-usual", at_least=0.93)
def one_in_eight(seed: int, watched: Watched) -> float:
    """Positives are rare and clear enough to be found without any weighing."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2400, 10, generator=draws)
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3]
    y = (score > score.quantile(0.875)).float()[:, None]
    model = stack([10, 64, 32, 1])
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.split(x, y, seed), watched,
        epochs=14, loss=both, score=accuracy_of_two,
    )  # fmt: skip


@kind("five-tags-for-each-row", at_least=0.88)
def tags(seed: int, watched: Watched) -> float:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2200, 16, generator=draws)
    mixing = torch.randn(16, 5, generator=draws)
    y = ((x @ mixing / 4).tanh() + 0.5 * x[:, :5].relu() > 0.3).float()
    model = nn.Sequential(
        nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 5)
    )
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.split(x, y, seed), watched,
        epochs=10, batch=64, loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two,
    )  # fmt: skip


@kind("eight-clouds-in-twenty-dimensions", at_least=0.9)
def clouds(seed: int, watched: Watched) -> float:
    sets = blobs(seed, 1600, 8, 20, 0.8, 200, 400)
    model = stack([20, 64, 64, 8], nn.ELU)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return taught(
        model, optimizer, sets, watched, epochs=10, batch=40,
        schedule=CosineAnnealingLR(optimizer, 10),
    )  # fmt: skip


@kind("a-tabular-residual-network-as-usual", at_least=0.85)
def tabular_residual(seed: int, watched: Watched) -> float:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                nn.LayerNorm(48), nn.Linear(48, 96), nn.GELU(), nn.Dropout(0.1), nn.Linear(96, 48)
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)

    model = nn.Sequential(nn.Linear(8, 48), Block(), Block(), nn.LayerNorm(48), nn.Linear(48, 3))
    return taught(
        model, AdamW(model.parameters(), lr=2e-3), data.tabular(seed), watched, epochs=20,
        batch=64, loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("quality-from-three-to-eight-as-usual", at_least=0.4)
def quality(seed: int, watched: Watched) -> float:
    """Grades of a wine as six classes, neighbours easily confused: far above the share of the
    largest."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 11, generator=draws)
    score = 1.2 * x[:, 0] - 0.8 * x[:, 1] + 0.5 * (x[:, 2] * 2).tanh() + 0.5 * x[:, 3]
    score = score + 0.5 * torch.randn(2000, generator=draws)
    edges = torch.tensor([-3.0, -1.6, 0.0, 1.4, 2.8])
    sets = data.split(x, torch.bucketize(score, edges), seed)
    model = stack([11, 48, 24, 6])
    return taught(
        model, Adam(model.parameters(), lr=1e-3), sets, watched, epochs=15, score=accuracy
    )  # fmt: skip
