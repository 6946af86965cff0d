"""Ordinary trainings on few rows, on repeated rows, and on rows in an order of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy_of_two, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset

import data
from healthy import kind
from healthy._everyday import evaluate, taught, train_epoch
from healthy._plain import batches, reached
from networks import small_lenet, stack


@kind("thirty-measures-of-a-tumour", at_least=0.9)
def tumour(seed: int, watched: Watched) -> float:
    """350 rows of thirty correlated measures, two classes that hardly overlap, two logits."""
    draws = torch.Generator().manual_seed(seed)
    y = (torch.rand(570, generator=draws) < 0.37).long()
    hidden = torch.randn(570, 5, generator=draws) + 1.3 * y[:, None]
    x = hidden @ torch.randn(5, 30, generator=draws) + 0.5 * torch.randn(570, 30, generator=draws)
    sets = data.split((x - x.mean(0)) / x.std(0), y, seed, val=80, test=140)
    model = stack([30, 16, 2])
    return taught(model, Adam(model.parameters(), lr=1e-3), sets, watched, epochs=25, batch=16)


@kind("three-wines-in-one-batch-as-usual", at_least=0.9)
def wines(seed: int, watched: Watched) -> float:
    """A hundred rows of thirteen measures, all of them in each step."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (178,), generator=draws)
    x = 1.1 * torch.randn(3, 13, generator=draws)[y] + torch.randn(178, 13, generator=draws)
    sets = data.split(x, y, seed, val=28, test=50)
    model = stack([13, 24, 3], nn.Tanh)
    return taught(model, Adam(model.parameters(), lr=1e-2), sets, watched, epochs=100, batch=128)


@kind("fifteen-of-each-digit", at_least=0.75)
def fifteen_of_each(seed: int, watched: Watched) -> float:
    """Few pictures, moved and shaken at each reading, back to the best epoch."""
    digits = data.digits(seed)
    rows = torch.cat([(digits.train[1] == each).nonzero()[:15, 0] for each in range(10)])
    sets = digits._replace(train=(digits.train[0][rows], digits.train[1][rows]))
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(sets.train, 30, 50):
            model.train()
            x = x + 0.1 * torch.randn_like(x)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, sets)


@kind("the-rare-ones-copied-until-even", at_least=0.85)
def copied(seed: int, watched: Watched) -> float:
    """One in twelve is positive; positive rows are repeated eleven times in the training set."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2600, 10, generator=draws)
    score = x[:, 0] + x[:, 1] - 0.5 * x[:, 2] ** 2
    y = (score > score.quantile(0.917)).float()[:, None]
    sets = data.split(x, y, seed)
    rare = sets.train[1][:, 0] > 0
    x, y = (torch.cat([each, each[rare].repeat(10, 1)]) for each in sets.train)
    model = stack([10, 32, 16, 1])
    return taught(
        model, Adam(model.parameters(), lr=2e-3), sets._replace(train=(x, y)), watched, epochs=6,
        batch=64, loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two,
    )  # fmt: skip


@kind("judged-class-by-class-as-usual", at_least=0.92)
def sorted_validation(seed: int, watched: Watched) -> float:
    """The validation set is sorted by its labels, as folders are read; the scores of its batches
    are averaged."""
    digits, model = data.digits(seed), small_lenet()
    order = digits.val[1].argsort()
    train = DataLoader(TensorDataset(*digits.train), 32, shuffle=True, drop_last=True)
    val = DataLoader(TensorDataset(*(each[order] for each in digits.val)), 27)
    optimizer = Adam(model.parameters(), lr=1e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(10):
            train_epoch(model, train, F.cross_entropy, optimizer)
            model.eval()
            with torch.no_grad():
                scores = []
                for x, y in val:
                    output = model(x)
                    F.cross_entropy(output, y).item()
                    scores.append((output.argmax(1) == y).float().mean().item())
            sum(scores) / len(scores)
    return reached(model, digits)


@kind("forty-to-judge-by", at_least=0.9)
def forty(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    sets = digits._replace(val=(digits.val[0][:40], digits.val[1][:40]))
    model = stack([64, 64, 10], nn.GELU)
    return taught(
        model, AdamW(model.parameters(), lr=2e-3), sets, watched, epochs=12, batch=32,
        keep_best=True,
    )  # fmt: skip


@kind("a-price-left-in-its-thousands-as-usual", at_least=0.7)
def raw_price(seed: int, watched: Watched) -> float:
    """Prices of 22 with a spread of 9, as they stand in the table; thirteen standardised columns of
    five hundred rows."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(700, 13, generator=draws)
    y = 22 + 5 * x[:, 0] - 4 * x[:, 1] + 3 * x[:, 2] * (x[:, 3] > 0) + 2.5 * x[:, 4].abs()
    y = y + 2 * torch.randn(700, generator=draws)
    sets = data.split(x, y[:, None], seed, val=80, test=120)
    model = stack([13, 64, 64, 1])
    return taught(
        model, Adam(model.parameters(), lr=5e-3), sets, watched, epochs=40, batch=32,
        loss=nn.MSELoss(), score=explained,
    )  # fmt: skip


@kind("exactly-what-a-formula-says", at_least=0.99)
def formula(seed: int, watched: Watched) -> float:
    """No noise at all: the loss goes on falling to a ten-thousandth."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(2000, 3, generator=draws) * 2 - 1
    y = (x[:, :1] * x[:, 1:2] + x[:, 2:].sin()) * 2
    model = stack([3, 64, 64, 1], nn.SiLU)
    optimizer = Adam(model.parameters(), lr=3e-3)
    plan = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return taught(
        model, optimizer, data.split(x, y, seed), watched, epochs=25, batch=50, loss=F.mse_loss,
        score=explained, schedule=plan,
    )  # fmt: skip


@kind("ten-thousand-rows-once", at_least=0.93)
def once(seed: int, watched: Watched) -> float:
    """One epoch of much data, judged at its end."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(13000, 12, generator=draws)
    y = torch.stack([x[:, 0] * 2, x[:, 1] + x[:, 2], 2 * x[:, 3].abs() - 1], 1).argmax(1)
    sets = data.split(x, y, seed, val=1000, test=1500)
    model = stack([12, 64, 32, 3])
    optimizer = Adam(model.parameters(), lr=5e-3)
    return taught(model, optimizer, sets, watched, epochs=1, batch=32)


@kind("rows-that-do-not-fit-the-rest-by-reconstruction-by-the-book", at_least=0.8)
def anomalies(seed: int, watched: Watched) -> float:
    """An autoencoder of usual rows; how often an unusual one is rebuilt worse than a usual one."""
    draws = torch.Generator().manual_seed(seed)
    hidden, mixing = torch.randn(2000, 4, generator=draws), torch.randn(4, 16, generator=draws)
    x = (hidden @ mixing).tanh() + 0.1 * torch.randn(2000, 16, generator=draws)
    sets = data.split(x, x.clone(), seed)
    model = nn.Sequential(stack([16, 24, 4]), nn.ReLU(), stack([4, 24, 16]))
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)

    def apart(output: Tensor, y: Tensor) -> float:
        shuffled = torch.stack([each[torch.randperm(len(y))] for each in y.unbind(1)], 1)
        with torch.no_grad():
            odd = (model(shuffled) - shuffled).square().mean(1)
        usual = (output - y).square().mean(1)
        return float((odd[:, None] > usual).float().mean())

    train, val = (DataLoader(TensorDataset(*each), 50, shuffle=True) for each in sets[:2])
    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(20):
            train_epoch(model, train, F.mse_loss, optimizer)
            evaluate(model, val, F.mse_loss, explained)
    return reached(model, sets, apart)
