"""Ordinary networks that compare, rate and choose: films, pairs, moves of a game."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, accuracy_of_two, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam

import data
from healthy import kind
from healthy._everyday import taught
from healthy._plain import batches
from networks import stack


@kind("users-and-films-as-usual", at_least=0.6)
def users_and_films(seed: int, watched: Watched) -> float:
    """Factors of 150 users and 120 films with a bias each, of 9,000 ratings."""

    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.user, self.film = nn.Embedding(150, 6), nn.Embedding(120, 6)
            self.of_user, self.of_film = nn.Embedding(150, 1), nn.Embedding(120, 1)
            self.mean = nn.Parameter(torch.zeros(1))
            for each in (self.user, self.film, self.of_user, self.of_film):
                nn.init.normal_(each.weight, std=0.1)

        def forward(self, ids: Tensor) -> Tensor:
            user, film = ids.unbind(1)
            both = (self.user(user) * self.film(film)).sum(1, keepdim=True)
            return both + self.of_user(user) + self.of_film(film) + self.mean

    draws = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(0, some, (9000,), generator=draws) for some in (150, 120)], 1)
    tastes = torch.randn(150, 2, generator=draws), torch.randn(120, 2, generator=draws)
    liked = torch.randn(120, generator=draws)[ids[:, 1]]
    y = 0.5 * (tastes[0][ids[:, 0]] * tastes[1][ids[:, 1]]).sum(1) + 0.6 * liked
    y = 3.5 + 0.8 * (y + 0.4 * torch.randn(9000, generator=draws))
    sets = data.split(ids, y[:, None], seed, val=1000, test=1500)
    model = Factors()
    nn.init.constant_(model.mean, float(sets.train[1].mean()))
    return taught(
        model, Adam(model.parameters(), lr=1e-2), sets, watched, epochs=8, batch=128,
        loss=nn.MSELoss(), score=explained,
    )  # fmt: skip


@kind("the-same-digit-or-not", at_least=0.8)
def same_digit(seed: int, watched: Watched) -> float:
    """Two pictures through one network; the difference of what it sees is judged."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = stack([64, 96, 32]), nn.Linear(32, 1)

        def forward(self, both: Tensor) -> Tensor:
            left, right = self.inner(both[:, 0]), self.inner(both[:, 1])
            return self.head((left - right).abs())

    draws = torch.Generator().manual_seed(seed)

    def paired(x: Tensor, y: Tensor) -> data.Pair:
        left = torch.arange(len(x)).repeat(4)
        right = torch.randint(0, len(x), (len(left),), generator=draws)
        for place in range(0, len(left), 2):
            alike = (y == y[left[place]]).nonzero()[:, 0]
            right[place] = alike[int(torch.randint(0, len(alike), (), generator=draws))]
        return torch.stack([x[left], x[right]], 1), (y[left] == y[right]).float()[:, None]

    sets = data.Splits(*(paired(*each) for each in data.digits(seed)))
    model = Pair()
    return taught(
        model, Adam(model.parameters(), lr=1e-3), sets, watched, epochs=8, batch=64,
        loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two,
    )  # fmt: skip


@kind("the-better-of-two-as-usual", at_least=0.85)
def better_of_two(seed: int, watched: Watched) -> float:
    """Which of two rows was preferred, as with a reward model: a logistic of the difference."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 2, 10, generator=draws)
    worth = x[..., 0] * 1.5 + x[..., 1].sin() + x[..., 2] * x[..., 3]
    first = worth.argmax(1)
    better = x[torch.arange(2500), first]
    worse = x[torch.arange(2500), 1 - first]
    model = stack([10, 64, 1])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for good, bad in batches((better[:2000], worse[:2000]), 50, 10):
            loss = -F.logsigmoid(model(good) - model(bad)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(better[2000:]) > model(worse[2000:])).float().mean())


@kind("moves-copied-from-a-player", at_least=0.85)
def copied(seed: int, watched: Watched) -> float:
    """Cloning: position and speed of a cart in, one of three pushes out."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 4, generator=draws)
    push = x @ torch.tensor([0.8, 1.0, 1.5, 0.7]) + 0.1 * torch.randn(2000, generator=draws)
    y = torch.bucketize(push, torch.tensor([-0.6, 0.6]))
    model = stack([4, 64, 64, 3], nn.Tanh)
    return taught(
        model, SGD(model.parameters(), lr=0.05, momentum=0.9), data.split(x, y, seed), watched,
        epochs=10, batch=64, score=accuracy,
    )  # fmt: skip


@kind("values-of-a-walk-along-a-line", at_least=0.9)
def walk(seed: int, watched: Watched) -> float:
    """The value of each of nine places by temporal differences from batches of remembered steps:
    a reward of one at the right end, of none at the left."""
    model = nn.Sequential(nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = Adam(model.parameters(), lr=3e-3)
    draws = torch.Generator().manual_seed(seed)
    eye = torch.eye(9)
    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(900):
            place = torch.randint(0, 9, (64,), generator=draws)
            after = place + 2 * torch.randint(0, 2, (64,), generator=draws) - 1
            ended = (after < 0) | (after > 8)
            with torch.no_grad():
                value = model(eye[after.clamp(0, 8)])[:, 0]
                wanted = torch.where(ended, (after > 8).float(), value)
            loss = F.mse_loss(model(eye[place])[:, 0], wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return explained(model(eye), torch.arange(1, 10)[:, None] / 10)


@kind("near-to-its-like-and-far-from-others", at_least=0.9)
def near_and_far(seed: int, watched: Watched) -> float:
    """Contrastive of labels: unit vectors, a temperature of a tenth. By the nearest of the training
    set."""
    digits = data.digits(seed)
    model = nn.Sequential(stack([64, 128, 32]))
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 96, 12):
            codes = F.normalize(model(x), dim=1)
            like = codes @ codes.T / 0.1 - 1e4 * torch.eye(len(x))
            same = (y[:, None] == y) & ~torch.eye(len(x), dtype=torch.bool)
            log_p = like.log_softmax(1)
            loss = -((log_p * same).sum(1) / same.sum(1).clamp(min=1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        known, asked = (F.normalize(model(x), dim=1) for x in (digits.train[0], digits.test[0]))
    nearest = (asked @ known.T).argmax(1)
    return float((digits.train[1][nearest] == digits.test[1]).float().mean())
