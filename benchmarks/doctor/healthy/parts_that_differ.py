"""Networks built in another way: weights made by a network, one block used often, many at once."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, stack
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("a-block-used-ten-times", at_least=0.93)
def one_block(seed: int, watched: Watched) -> float:
    """An equation integrated by ten small steps of the same layers."""

    class Integrated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(64, 32)
            self.flow = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 32))
            self.head = nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x.flatten(1))
            for _ in range(10):
                x = x + 0.1 * self.flow(x)
            return self.head(x)

    digits = data.digits(seed)
    model = Integrated()
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=7)
    return reached(model, digits)


@kind("a-hypernetwork", at_least=0.75)
def hypernetwork(seed: int, watched: Watched) -> float:
    """The layer that sees x has no weights of its own: they come from the other features."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maker = stack([4, 48, 5 * 8 + 8 + 8 + 1])

        def forward(self, rows: Tensor) -> Tensor:
            said = self.maker(rows[:, 4:])
            inner, bias, outer, last = said.split([40, 8, 8, 1], 1)
            x = F.pad(rows[:, :4], (0, 1), value=1.0)
            hidden = torch.einsum("ni,nio->no", x, inner.view(-1, 5, 8)) + bias
            return (hidden.tanh() * outer).sum(1, keepdim=True) + last

    table = data.tabular(seed)
    table = data.Splits(*((x, (x[:, :1] * x[:, 4:5] + x[:, 1:2].sin())) for x, y in table))
    model = Made()
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=12)
    return reached(model, table, explained)


@kind("eight-networks-by-vmap", at_least=0.9)
def eight_networks(seed: int, watched: Watched) -> float:
    """An ensemble trained at once, its weights stacked: the mean of their answers."""

    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(torch.randn(8, 64, 24) / 8)
            self.bias = nn.Parameter(torch.zeros(8, 24))
            self.last = nn.Parameter(torch.randn(8, 24, 10) / 5)

        def forward(self, x: Tensor) -> Tensor:
            def one(first: Tensor, bias: Tensor, last: Tensor) -> Tensor:
                return (x.flatten(1) @ first + bias).relu() @ last

            return torch.vmap(one)(self.first, self.bias, self.last)

    digits = data.digits(seed)
    model = Many()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 8):
            loss = F.cross_entropy(model(x).flatten(0, 1), y.repeat(8))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0]).mean(0), digits.test[1])


@kind("weights-of-bounded-norm", at_least=0.9)
def bounded(seed: int, watched: Watched) -> float:
    """Spectral norm on every layer and hinges of a margin: Lipschitz by construction."""
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), spectral_norm(nn.Linear(64, 96)), nn.LeakyReLU(0.2),
        spectral_norm(nn.Linear(96, 96)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(96, 10)),
    )  # fmt: skip
    fit(
        model, SGD(model.parameters(), lr=0.3, momentum=0.9), digits, watched,
        loss=lambda output, y: F.multi_margin_loss(output, y, margin=0.3),
    )  # fmt: skip
    return reached(model, digits)


@kind("weight-norm-and-gated-units", at_least=0.9)
def weight_normed(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), weight_norm(nn.Linear(64, 96)), nn.GLU(),
        weight_norm(nn.Linear(48, 96)), nn.GLU(), weight_norm(nn.Linear(48, 10)),
    )  # fmt: skip
    fit(model, AdamW(model.parameters(), lr=5e-3), digits, watched)
    return reached(model, digits)


@kind("the-largest-of-four-lines", at_least=0.9)
def maxout(seed: int, watched: Watched) -> float:
    """Maxout: linear layers with nothing between them but a maximum."""

    class Largest(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unflatten(1, (-1, 4)).amax(2)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), Largest(), nn.Dropout(0.2), nn.Linear(32, 128),
        Largest(), nn.Linear(32, 10),
    )  # fmt: skip
    fit(model, SGD(model.parameters(), lr=0.1, momentum=0.9), digits, watched)
    return reached(model, digits)


@kind("turns-in-the-complex-plane", at_least=0.8)
def complex_layers(seed: int, watched: Watched) -> float:
    """Complex weights and a modulus; the waves are read as complex numbers."""

    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(20, 32, dtype=torch.cfloat) / 5)
            self.bias = nn.Parameter(torch.zeros(32))
            self.head = nn.Linear(32, 4)

        def forward(self, x: Tensor) -> Tensor:
            turned = torch.view_as_complex(x) @ self.weight
            return self.head((turned.abs() + self.bias).relu())

    waves = data.waves(seed)
    model = Turning()
    fit(model, Adam(model.parameters(), lr=5e-3), waves, watched)
    return reached(model, waves)


@kind("heads-at-every-depth", at_least=0.8)
def deep_supervision(seed: int, watched: Watched) -> float:
    """Three heads on one body; only the last is asked when it is judged."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (1, 12, 16, 24)
            self.blocks = nn.ModuleList(
                nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)
            )
            self.heads = nn.ModuleList(nn.Linear(4 * b, 10) for b in widths[1:])

        def forward(self, x: Tensor) -> list[Tensor]:
            said = []
            for block, head in zip(self.blocks, self.heads, strict=True):
                x = F.mish(block(x))
                said.append(head(F.adaptive_avg_pool2d(x, 2).flatten(1)))
            return said if self.training else said[-1:]

    digits = data.digits(seed)
    model = Deep()
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for _ in range(8):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                first, second, last = model(x)
                loss = F.cross_entropy(last, y)
                loss = loss + 0.3 * (F.cross_entropy(first, y) + F.cross_entropy(second, y))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                (model(digits.val[0])[-1].argmax(1) == digits.val[1]).float().mean().item()
    return accuracy(model(digits.test[0])[-1], digits.test[1])
