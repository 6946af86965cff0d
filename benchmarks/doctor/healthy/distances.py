"""Odd losses: distances between samples, without a class to name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy_of_two
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam

import data
from healthy import kind
from healthy._plain import batches
from networks import stack


@kind("triplets", at_least=0.88)
def triplets(seed: int, watched: Watched) -> float:
    """An embedding by triplet margins: accuracy of the nearest neighbour."""
    digits = data.digits(seed)
    model = stack([64, 64, 16])
    optimizer = Adam(model.parameters(), lr=3e-3)
    by_class = [(digits.train[1] == kind).nonzero().squeeze(1) for kind in range(10)]
    with watched(model, optimizer):
        for x, y in batches(digits.train, 48, 8):
            positive = torch.stack(
                [each[torch.randint(len(each), ())] for each in (by_class[k] for k in y)]
            )
            other = (y + torch.randint(1, 10, y.shape)) % 10
            negative = torch.stack(
                [each[torch.randint(len(each), ())] for each in (by_class[k] for k in other)]
            )
            codes = model(torch.cat([x, digits.train[0][positive], digits.train[0][negative]]))
            loss = F.triplet_margin_loss(*codes.chunk(3), margin=1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@torch.no_grad()
def nearest(model: nn.Module, digits: data.Splits) -> float:
    """Accuracy of the class of the nearest training code."""
    model.eval()
    apart = torch.cdist(model(digits.test[0]), model(digits.train[0]))
    return float((digits.train[1][apart.argmin(1)] == digits.test[1]).float().mean())


@kind("contrastive-in-the-batch", at_least=0.85)
def contrastive(seed: int, watched: Watched) -> float:
    """Two noisy views of each image, the others of the batch are the negatives (InfoNCE): the loss
    mixes the batch on purpose, and starts at the logarithm of its size."""
    digits = data.digits(seed)
    model = stack([64, 96, 32])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 96, 12):
            one, two = (
                F.normalize(model(x * (torch.rand_like(x) > 0.2) + 0.05 * torch.randn_like(x)))
                for _ in range(2)
            )
            logits = one @ two.T / 0.2
            loss = F.cross_entropy(logits, torch.arange(len(x)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return nearest(model, digits)


@kind("siamese", at_least=0.85)
def siamese(seed: int, watched: Watched) -> float:
    """The same weights twice in a step: are two digits of one class?"""

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([64, 64, 32])
            self.head = nn.Linear(32, 1)

        def forward(self, one: Tensor, two: Tensor) -> Tensor:
            return self.head((self.body(one) - self.body(two)).abs()).squeeze(1)

    digits = data.digits(seed)
    model = Pairs()
    optimizer = Adam(model.parameters(), lr=3e-3)

    def pairs(pair: data.Pair) -> tuple[Tensor, Tensor, Tensor]:
        x, y = pair
        order = torch.where(
            torch.rand(len(y)) < 0.5,
            y.argsort().roll(1)[y.argsort().argsort()],
            torch.randperm(len(y)),
        )
        return x, x[order], (y == y[order]).float()

    with watched(model, optimizer):
        for _ in range(12):
            one, two, same = pairs(digits.train)
            for rows in torch.randperm(len(one)).split(64):
                loss = F.binary_cross_entropy_with_logits(model(one[rows], two[rows]), same[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    one, two, same = pairs(digits.test)
    return accuracy_of_two(model(one, two), same)
