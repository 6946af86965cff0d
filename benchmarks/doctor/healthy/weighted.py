"""Odd losses: classes, samples, tasks or pixels that weigh more than others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, accuracy_of_two
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


@kind("rare-classes-with-weights", at_least=0.85)
def rare_classes_with_weights(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    x, y = digits.train
    keep = (y < 5) | (torch.arange(len(y)) % 4 == 0)
    digits = digits._replace(train=(x[keep], y[keep]))
    counts = torch.bincount(y[keep], minlength=10).float()
    model = small_lenet()
    fit(
        model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=12,
        loss=nn.CrossEntropyLoss(weight=counts.sum() / counts / 10),
    )  # fmt: skip
    return reached(model, digits)


@kind("one-in-four-positive-with-a-weight", at_least=0.8)
def positive_weight(seed: int, watched: Watched) -> float:
    """Balanced accuracy of a table where one row in four is positive."""
    table = data.table_of_two(seed)
    x, y = table.train
    positive = (y[:, 0] > 0.5).nonzero().squeeze(1)
    negative = (y[:, 0] < 0.5).nonzero().squeeze(1)
    keep = torch.cat([negative, positive[: len(negative) // 3]])
    table = table._replace(train=(x[keep], y[keep]))
    model = stack([12, 32, 1])
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.1), table, watched, epochs=16,
        loss=nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)),
    )  # fmt: skip
    x, y = table.test
    ones = y[:, 0] > 0.5
    return (
        accuracy_of_two(model(x[ones]), y[ones]) + accuracy_of_two(model(x[~ones]), y[~ones])
    ) / 2


@kind("focal-loss", at_least=0.9)
def focal_loss(seed: int, watched: Watched) -> float:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        each = F.cross_entropy(output, y, reduction="none")
        return ((1 - (-each).exp()) ** 2 * each).mean()

    digits = data.digits(seed)
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, loss=loss)
    return reached(model, digits)


@kind("margin-loss", at_least=0.9)
def margin_loss(seed: int, watched: Watched) -> float:
    """The loss of a support vector machine reaches exactly 0 on many batches."""
    digits = data.digits(seed)
    model = stack([64, 128, 10])
    fit(
        model, SGD(model.parameters(), lr=0.2, momentum=0.9), digits, watched, epochs=12,
        loss=F.multi_margin_loss,
    )  # fmt: skip
    return reached(model, digits)


@kind("multi-label", at_least=0.9)
def multi_label(seed: int, watched: Watched) -> float:
    """Four questions about a digit at once: even? over four? prime? has a loop?"""
    yes = torch.tensor(
        [[n % 2 == 0, n > 4, n in (2, 3, 5, 7), n in (0, 6, 8, 9)] for n in range(10)]
    )
    digits = data.Splits(*((x, yes[y].float()) for x, y in data.digits(seed)))
    model = stack([64, 64, 4])
    fit(
        model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=10,
        loss=nn.BCEWithLogitsLoss(),
    )  # fmt: skip
    return reached(model, digits, accuracy_of_two)


@kind("two-tasks-of-different-weight", at_least=0.9)
def two_tasks(seed: int, watched: Watched) -> float:
    """The class, and a hundred times less the number of dark pixels."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.kind, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            features = self.body(x)
            return {"kind": self.kind(features), "ink": self.ink(features).squeeze(1)}

    digits = data.digits(seed)
    model = Two()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 10):
            output = model(x)
            ink = (x > 0.5).flatten(1).sum(1).float() / 20
            loss = F.cross_entropy(output["kind"], y) + 0.01 * F.mse_loss(output["ink"], ink)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])["kind"], digits.test[1])


@kind("sum-instead-of-mean", at_least=0.9)
def sum_instead_of_mean(seed: int, watched: Watched) -> float:
    """A loss of hundreds with a rate that fits it."""
    digits = data.digits(seed)
    model = small_lenet()
    fit(
        model, SGD(model.parameters(), lr=1e-3, momentum=0.9), digits, watched, epochs=10,
        loss=nn.CrossEntropyLoss(reduction="sum"),
    )  # fmt: skip
    return reached(model, digits)


@kind("pixels-that-are-ignored", at_least=0.6)
def pixels_ignored(seed: int, watched: Watched) -> float:
    """Half of the pixels have no label (255): segmentation with an ignored index."""
    masks = data.masks(seed)

    def labelled(pair: data.Pair) -> data.Pair:
        x, y = pair
        label = y[:, 0].long()
        return x, torch.where(torch.rand(label.shape) < 0.5, 255, label)

    x, y = masks.test
    masks = data.Splits(labelled(masks.train), labelled(masks.val), (x, y[:, 0].long()))
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=2, dilation=2),
        nn.ReLU(), nn.Conv2d(16, 2, 3, padding=1),
    )  # fmt: skip
    fit(
        model, Adam(model.parameters(), lr=1e-2), masks, watched, epochs=6, batch=40,
        loss=nn.CrossEntropyLoss(ignore_index=255), validated=False,
    )  # fmt: skip
    return reached(model, masks)
