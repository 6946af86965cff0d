"""Odd networks: weights used twice, heads used now and then, or later."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy, explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


@kind("tied-autoencoder", at_least=0.6)
def tied_autoencoder(seed: int, watched: Watched) -> float:
    """The decoder is the encoder turned round: one matrix, used twice."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(0.1 * torch.randn(20, 64))
            self.bias = nn.Parameter(torch.zeros(64))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh((x.flatten(1) - 0.3) @ self.weight.T) @ self.weight + self.bias

    digits = data.Splits(*((x, x.flatten(1)) for x, _ in data.digits(seed)))
    model = Tied()
    fit(
        model, Adam(model.parameters(), lr=5e-3), digits, watched, loss=F.mse_loss, epochs=14
    )  # fmt: skip
    return reached(model, digits, explained)


@kind("a-second-head-now-and-then", at_least=0.9)
def second_head(seed: int, watched: Watched) -> float:
    """An auxiliary head that takes part in every fourth step only."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.head, self.second = nn.Linear(64, 10), nn.Linear(64, 2)

        def forward(self, x: Tensor, both: bool = False) -> tuple[Tensor, Tensor | None]:
            x = self.body(x)
            return self.head(x), self.second(x) if both else None

    digits = data.digits(seed)
    model = Two()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for number, (x, y) in enumerate(batches(digits.train, 64, 8)):
            output, second = model(x, number % 4 == 0)
            loss = F.cross_entropy(output, y)
            if second is not None:
                loss = loss + 0.3 * F.cross_entropy(second, y % 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(model(digits.test[0])[0], digits.test[1])


@kind("a-head-kept-for-later", at_least=0.9)
def head_kept_for_later(seed: int, watched: Watched) -> float:
    """A part of the model that this phase of the training does not use."""

    class Later(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.now = small_lenet()
            self.later = nn.Linear(48, 100)

        def forward(self, x: Tensor) -> Tensor:
            return self.now(x)

    digits = data.digits(seed)
    model = Later()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=6)
    return reached(model, digits)
