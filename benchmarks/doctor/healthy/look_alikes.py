"""Outputs, losses and labels that look like a fault of theirs and are as they should be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched, explained, small_lenet, stack
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("logits-under-a-soft-cap", at_least=0.9)
def soft_cap(seed: int, watched: Watched) -> float:
    """A tanh before the cross-entropy, of heights that never bind."""

    class Capped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([64, 64, 10])

        def forward(self, x: Tensor) -> Tensor:
            return 15 * torch.tanh(self.body(x) / 15)

    digits = data.digits(seed)
    model = Capped()
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched)
    return reached(model, digits)


@kind("one-against-the-rest", at_least=0.88)
def one_against_the_rest(seed: int, watched: Watched) -> float:
    """Ten questions of yes and no for ten classes, as ImageNet is trained by some."""
    digits = data.digits(seed)
    model = small_lenet()
    fit(
        model, AdamW(model.parameters(), lr=3e-3), digits, watched,
        loss=lambda output, y: F.binary_cross_entropy_with_logits(output, F.one_hot(y, 10).float()),
    )  # fmt: skip
    return reached(model, digits)


@kind("a-query-and-its-documents", at_least=0.55)
def documents(seed: int, watched: Watched) -> float:
    """Each step holds the documents of one query: the softmax runs over the rows."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 15, 10, generator=draws)
    worth = 2 * x[..., 0] * x[..., 1] + 2 * x[..., 2].abs()
    chosen = (worth + 0.5 * torch.randn(900, 15, generator=draws)).argmax(1)
    model = stack([10, 32, 1])
    optimizer = Adam(model.parameters(), lr=4e-3)
    with watched(model, optimizer):
        for at in torch.randint(700, (1400,)):
            scores = model(x[at])[:, 0]
            loss = -scores.log_softmax(0)[chosen[at]]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    said = torch.stack([model(each)[:, 0].argmax() for each in x[700:]])
    return float((said == chosen[700:]).float().mean())


@kind("one-bag-a-step", at_least=0.85)
def bags(seed: int, watched: Watched) -> float:
    """Is there a 3 among the eight? Attention over the bag's digits, one answer for all rows."""

    class Attended(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([64, 48, 24])
            self.weigh, self.head = stack([24, 1]), nn.Linear(24, 1)

        def forward(self, x: Tensor) -> Tensor:
            known = self.body(x).relu()
            return self.head((self.weigh(known).softmax(0) * known).sum(0))

    def some(pair: data.Pair, rows: int) -> list[tuple[Tensor, Tensor]]:
        x, y = pair
        drawn = torch.randint(len(x), (rows, 8))
        return [(x[each], (y[each] == 3).any()[None].float()) for each in drawn]

    digits = data.digits(seed)
    model = Attended()
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, y in some(digits.train, 1500):
            loss = F.binary_cross_entropy_with_logits(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = [(model(x) > 0).float() == y for x, y in some(digits.test, 200)]
    return float(torch.cat(right).float().mean())


@kind("an-ensemble-against-one-target", at_least=0.75)
def ensemble_of_heads(seed: int, watched: Watched) -> float:
    """Five guesses (N, 5) are each held against the same (N, 1): a broadcast that is meant."""
    table = data.tabular(seed)
    table = data.Splits(*((x, y[:, :1]) for x, y in table))
    model = stack([8, 64, 64, 5])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, epochs=12,
        loss=lambda output, y: (output - y).square().mean(),
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output.mean(1, keepdim=True), y))


@kind("room-for-more-classes", at_least=0.9)
def room(seed: int, watched: Watched) -> float:
    """Sixteen outputs for the classes 1 to 10: 0 and the last five never come."""
    digits = data.Splits(*((x, y + 1) for x, y in data.digits(seed)))
    model = small_lenet(16)
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("parity-of-three-bits", at_least=0.95)
def parity(seed: int, watched: Watched) -> float:
    """The nearest neighbour has the other label: three of ten bits, and nothing linear in them."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (2400, 10), generator=draws).float() * 2 - 1
    table = data.split(x, (x[:, :3].prod(1) > 0).long(), seed)
    model = stack([10, 64, 32, 2])
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, epochs=12)
    return reached(model, table)


@kind("two-halves-that-match", at_least=0.85)
def halves(seed: int, watched: Watched) -> float:
    """Are two noisy pictures of one digit or of two? Half of the pairs are the same."""
    digits = data.digits(seed)

    def pairs(pair: data.Pair, rows: int) -> data.Pair:
        x, _ = pair
        first, second = torch.randint(len(x), (2, rows))
        second = torch.where(torch.rand(rows) < 0.5, first, second)
        both = torch.cat([x[first], x[second]], 1)
        same = (first == second).float()[:, None]
        return both + 0.1 * torch.randn_like(both), same

    sets = data.Splits(pairs(digits.train, 3000), pairs(digits.val, 300), pairs(digits.test, 500))
    model = nn.Sequential(
        nn.Conv2d(2, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(),
        nn.Linear(64, 1),
    )  # fmt: skip
    fit(
        model, Adam(model.parameters(), lr=3e-3), sets, watched, epochs=6,
        loss=nn.BCEWithLogitsLoss(),
    )  # fmt: skip
    return reached(model, sets, lambda output, y: float(((output > 0) == (y > 0.5)).float().mean()))


@kind("counts-in-the-hundreds", at_least=0.8)
def large_counts(seed: int, watched: Watched) -> float:
    """Visitors by the day behind an exponential, its bias begun at the mean's logarithm."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 6, generator=draws)
    mean = 200 * (0.4 * x[:, :1] + 0.3 * x[:, 1:2] * x[:, 2:3]).exp()
    table = data.split(x, torch.poisson(mean, generator=draws), seed)
    model = stack([6, 48, 1])
    nn.init.constant_(model[-1].bias, 5.3)
    fit(
        model, Adam(model.parameters(), lr=3e-3), table, watched, epochs=10,
        loss=nn.PoissonNLLLoss(),
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output.exp(), y))


@kind("fraud", at_least=0.9)
def fraud(seed: int, watched: Watched) -> float:
    """3 in 100 rows are positive and plain cross-entropy ranks them well: area under the curve."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(5000, 10, generator=draws)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * torch.randn(5000, generator=draws) > 3.1).float()
    table = data.split(x, y[:, None], seed, val=600, test=1200)
    model = stack([10, 48, 1])
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.05), table, watched, epochs=16,
        loss=nn.BCEWithLogitsLoss(),
    )  # fmt: skip

    def area(output: Tensor, y: Tensor) -> float:
        return float((output[y > 0.5][:, None] > output[y < 0.5][None]).float().mean())

    return reached(model, table, area)


@kind("partly-answered", at_least=0.75)
def partly_answered(seed: int, watched: Watched) -> float:
    """Half of the answers is missing (NaN) and left out of the loss."""

    def loss(output: Tensor, y: Tensor) -> Tensor:
        there = ~y.isnan()
        return F.mse_loss(output[there], y[there])

    table = data.tabular(seed)
    x, y = table.train
    y = y.masked_fill(torch.rand(y.shape) < 0.5, float("nan"))
    table = table._replace(train=(x, y))
    model = stack([8, 64, 64, 3])
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=loss, epochs=14)
    return reached(model, table, explained)


@kind("a-dictionary-of-which-few-are-used", at_least=0.8)
def dictionary(seed: int, watched: Watched) -> float:
    """A sparse autoencoder four times as wide as its input: most units are silent."""

    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = nn.Linear(64, 256), nn.Linear(256, 64)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            code = self.there(x.flatten(1)).relu()
            return self.back(code), code

    digits = data.digits(seed)
    model = Sparse()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 14):
            output, code = model(x)
            loss = F.mse_loss(output, x.flatten(1)) + 2e-3 * code.abs().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, _ = digits.test
    return explained(model(x)[0].detach(), x.flatten(1))


@kind("principal-components", at_least=0.7)
def principal_components(seed: int, watched: Watched) -> float:
    """Two linear layers and nothing between them: that is what it is for."""
    digits = data.Splits(*((x.flatten(1), x.flatten(1)) for x, _ in data.digits(seed)))
    model = nn.Sequential(nn.Linear(64, 12), nn.Linear(12, 64))
    fit(model, Adam(model.parameters(), lr=1e-2), digits, watched, loss=F.mse_loss, epochs=14)
    return reached(model, digits, explained)


@kind("a-plane-for-ten-classes", at_least=0.8)
def plane(seed: int, watched: Watched) -> float:
    """Features of two numbers, to be drawn: ten directions in a plane are enough."""
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.PReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1), nn.PReLU(), nn.Flatten(),
        nn.Linear(512, 2), nn.Linear(2, 10),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=14)
    return reached(model, digits)


@kind("views-with-nothing-in-common", at_least=0.75)
def barlow(seed: int, watched: Watched) -> float:
    """Cross-correlation of two views to be the identity, batch norm without weights at the end; a
    nearest neighbour judges the features."""
    digits = data.digits(seed)
    body = stack([64, 96, 64])
    model = nn.Sequential(body, nn.ReLU(), nn.Linear(64, 48), nn.BatchNorm1d(48, affine=False))
    optimizer = Adam(model.parameters(), lr=2e-3)

    def view(x: Tensor) -> Tensor:
        return x.roll(int(torch.randint(-1, 2, ())), 3) + 0.1 * torch.randn_like(x)

    with watched(model, optimizer):
        for x, _ in batches(digits.train, 128, 16):
            cross = model(view(x)).T @ model(view(x)) / len(x)
            loss = (cross.diagonal() - 1).square().sum()
            loss = loss + 0.02 * (cross - cross.diagonal().diag()).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        near = torch.cdist(body(digits.test[0]), body(digits.train[0])).argmin(1)
    return float((digits.train[1][near] == digits.test[1]).float().mean())


@kind("concatenated-relu", at_least=0.9)
def crelu(seed: int, watched: Watched) -> float:
    """Every unit beside its negative: half of what follows is zero at any time."""

    class Both(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, -x], 1).relu()

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), Both(), nn.Conv2d(16, 12, 3, stride=2, padding=1), Both(),
        nn.Flatten(), nn.Linear(384, 10),
    )  # fmt: skip
    fit(model, SGD(model.parameters(), lr=0.05, momentum=0.9), digits, watched)
    return reached(model, digits)


@kind("radial-units", at_least=0.85)
def radial(seed: int, watched: Watched) -> float:
    """Units that answer near their centre alone, begun at training samples: mostly silent."""

    class Radial(nn.Module):
        def __init__(self, centres: Tensor) -> None:
            super().__init__()
            self.centres = nn.Parameter(centres.clone())
            self.width = nn.Parameter(torch.full((len(centres),), 0.7))
            self.head = nn.Linear(len(centres), 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head((-self.width * torch.cdist(x.flatten(1), self.centres) ** 2).exp())

    digits = data.digits(seed)
    model = Radial(digits.train[0][:120].flatten(1))
    fit(model, Adam(model.parameters(), lr=1e-2), digits, watched, epochs=12)
    return reached(model, digits)


@kind("a-column-that-decides", at_least=0.97)
def deciding_column(seed: int, watched: Watched) -> float:
    """One column tells the class by itself, as a diagnosis may: no shortcut, it is the rule."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 9, generator=draws)
    table = data.split(x, (x[:, 4] > 0.3).float()[:, None], seed)
    model = stack([9, 16, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=nn.BCEWithLogitsLoss()
    )  # fmt: skip
    return reached(
        model, table, lambda output, y: float(((output > 0) == (y > 0.5)).float().mean())
    )
