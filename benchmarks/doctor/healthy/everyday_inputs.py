"""Ordinary networks for inputs of other forms: two at once, rows of a picture, sentences, views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches
from networks import stack


@kind("a-picture-and-a-table-together-as-usual", at_least=0.85)
def picture_and_table(seed: int, watched: Watched) -> float:
    """A digit and three numbers; what is asked is the digit times one of them plus another."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.eye = nn.Sequential(
                nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 24)
            )
            self.table = nn.Linear(3, 24)
            self.head = stack([48, 64, 1])

        def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
            return self.head(torch.cat([self.eye(image), self.table(numbers)], 1).relu())

    draws = torch.Generator().manual_seed(seed)
    digits, model = data.digits(seed), Both()
    optimizer = Adam(model.parameters(), lr=3e-3)

    def told(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        numbers = torch.randn(len(x), 3, generator=draws)
        return numbers, ((y / 9 - 0.5) * (2 + numbers[:, 0]) + numbers[:, 1])[:, None]

    train, val, test = ((x, *told(x, y)) for x, y in digits)
    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(20):
            model.train()
            for rows in torch.randperm(len(train[0])).split(32):
                image, numbers, y = (each[rows] for each in train)
                loss = F.mse_loss(model(image, numbers), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.mse_loss(model(val[0], val[1]), val[2]).item()
    with torch.no_grad():
        return explained(model(test[0], test[1]), test[2])


@kind("a-digit-read-row-by-row", at_least=0.9)
def row_by_row(seed: int, watched: Watched) -> float:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(8, 64, batch_first=True), nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x[:, 0])[0][:, -1])

    model = Rows()
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.digits(seed), watched, epochs=14
    )  # fmt: skip


@kind("mixed-over-places-and-over-channels", at_least=0.9)
def mixer(seed: int, watched: Watched) -> float:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.over_places = nn.Sequential(
                nn.LayerNorm(32), _Turned(nn.Sequential(nn.Linear(16, 32), nn.GELU(),
                                                        nn.Linear(32, 16)))
            )  # fmt: skip
            self.over_channels = nn.Sequential(
                nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)
            )

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.over_places(x)
            return x + self.over_channels(x)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 32, 2, stride=2)
            self.body, self.norm = nn.Sequential(Mixer(), Mixer()), nn.LayerNorm(32)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.body(self.patches(x).flatten(2).transpose(1, 2))
            return self.head(self.norm(x).mean(1))

    model = Whole()
    optimizer = AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=14, batch=64,
        schedule=CosineAnnealingLR(optimizer, 14),
    )  # fmt: skip


class _Turned(nn.Module):
    """A layer along the places instead of the channels."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


@kind("sentences-by-filters-of-three-lengths", at_least=0.85)
def filters(seed: int, watched: Watched) -> float:
    """As Kim's of 2014: the largest answer of each filter, half of them hidden. A sentence is of a
    class when one of its phrases of two words is there."""

    class Sentence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(60, 24)
            self.filters = nn.ModuleList(nn.Conv1d(24, 24, size) for size in (2, 3, 4))
            self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(72, 3))

        def forward(self, words: Tensor) -> Tensor:
            x = self.embed(words).transpose(1, 2)
            return self.head(torch.cat([each(x).relu().amax(2) for each in self.filters], 1))

    draws = torch.Generator().manual_seed(seed)
    words = torch.randint(0, 60, (3200, 14), generator=draws)
    phrases = torch.randint(0, 60, (3, 3, 2), generator=draws)
    y = torch.randint(0, 3, (3200,), generator=draws)
    place = torch.randint(0, 13, (3200,), generator=draws)
    which = torch.randint(0, 3, (3200,), generator=draws)
    rows = torch.arange(3200)
    words[rows, place], words[rows, place + 1] = phrases[y, which].unbind(1)
    model = Sentence()
    return taught(
        model, Adam(model.parameters(), lr=3e-3), data.split(words, y, seed), watched, epochs=12,
        batch=50,
    )  # fmt: skip


@kind("how-many-figures", at_least=0.85)
def how_many(seed: int, watched: Watched) -> float:
    """One to five bright spots of different size in a dark picture, counted by squares."""
    draws = torch.Generator().manual_seed(seed)
    count = torch.randint(1, 6, (1800,), generator=draws)
    x = 0.1 * torch.rand(1800, 1, 16, 16, generator=draws)
    rows = torch.arange(1800)
    for number in range(5):
        place = torch.randint(0, 4, (1800, 2), generator=draws) * 4
        bright = 0.6 + 0.4 * torch.rand(1800, generator=draws)
        there = (number < count).float() * bright
        for down in (1, 2):
            for right in (1, 2):
                spot = x[rows, 0, place[:, 0] + down, place[:, 1] + right]
                x[rows, 0, place[:, 0] + down, place[:, 1] + right] = torch.maximum(spot, there)
    seen = (F.max_pool2d(x, 4) > 0.5).float().sum((1, 2, 3))
    y = ((seen - 3) / 1.5)[:, None]
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 1),
    )  # fmt: skip
    return taught(
        model, Adam(model.parameters(), lr=2e-3), data.split(x, y, seed), watched, epochs=12,
        loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("which-arm-for-whom", at_least=0.8)
def arms(seed: int, watched: Watched) -> float:
    """A bandit that sees who comes: the value of the arm that was pulled is learned from a memory,
    nine pulls in ten are the best known. The share of best arms at the end."""
    draws = torch.Generator().manual_seed(seed)
    worth = torch.randn(6, 4, generator=draws)
    model = stack([6, 48, 4])
    optimizer = Adam(model.parameters(), lr=3e-3)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    with watched(model, optimizer, loss=nn.SmoothL1Loss()):
        for _ in range(500):
            who = torch.randn(16, 6, generator=draws)
            with torch.no_grad():
                arm = model(who).argmax(1)
            chance = torch.rand(16, generator=draws) < 0.1
            arm = torch.where(chance, torch.randint(0, 4, (16,), generator=draws), arm)
            paid = (who @ worth / 2).gather(1, arm[:, None])[:, 0]
            seen.append((who, arm, paid + 0.3 * torch.randn(16, generator=draws)))
            picked = [seen[i] for i in torch.randint(0, len(seen), (4,), generator=draws).tolist()]
            who, arm, paid = (torch.cat(each) for each in zip(*picked, strict=True))
            loss = F.smooth_l1_loss(model(who).gather(1, arm[:, None])[:, 0], paid)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    who = torch.randn(1000, 6, generator=draws)
    with torch.no_grad():
        return accuracy(model(who), (who @ worth).argmax(1))


@kind("told-where-answers-are-missing-as-usual", at_least=0.8)
def missing(seed: int, watched: Watched) -> float:
    """A third of the targets is not known; the mean is over those that are."""
    table = data.tabular(seed)
    known = torch.rand(table.train[1].shape, generator=torch.Generator().manual_seed(seed)) < 0.67
    x, y = table.train
    y = torch.where(known, y, torch.nan)
    model = stack([8, 64, 64, 3])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for some, wanted in batches((x, y), 64, 20):
            there = ~wanted.isnan()
            loss = F.mse_loss(model(some)[there], wanted[there])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return explained(model(table.test[0]), table.test[1])


@kind("turned-by-how-much", at_least=0.8)
def turned(seed: int, watched: Watched) -> float:
    """The angle of a bar as its sine and cosine, of twice the angle."""
    draws = torch.Generator().manual_seed(seed)
    angle = 3.1416 * torch.rand(1700, generator=draws)
    down, right = torch.meshgrid(torch.arange(12) - 5.5, torch.arange(12) - 5.5, indexing="ij")
    across = down * angle.cos()[:, None, None] - right * angle.sin()[:, None, None]
    x = (-(across**2) / 2).exp() + 0.2 * torch.randn(1700, 12, 12, generator=draws)
    y = torch.stack([(2 * angle).sin(), (2 * angle).cos()], 1)
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3),
        nn.ReLU(), nn.Flatten(), nn.Linear(384, 2), nn.Tanh(),
    )  # fmt: skip
    return taught(
        model, SGD(model.parameters(), lr=0.05, momentum=0.9), data.split(x[:, None], y, seed),
        watched, epochs=12, loss=F.mse_loss, score=explained,
    )  # fmt: skip
