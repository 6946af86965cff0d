"""Odd networks: other arithmetic, computed twice, in few bits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from setups import Watched
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.checkpoint import checkpoint

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


@kind("checkpointed", at_least=0.9)
def checkpointed(seed: int, watched: Watched) -> float:
    """Activations are computed again in the backward pass."""

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = small_lenet()

        def forward(self, x: Tensor) -> Tensor:
            middle = checkpoint(self.layers[:6], x, use_reentrant=False)
            return self.layers[6:](middle)

    digits = data.digits(seed)
    model = Again()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=6)
    return reached(model, digits)


@kind("bfloat16", at_least=0.9)
def bfloat16(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 8):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return reached(model, digits)


@kind("weights-of-one-bit", at_least=0.88)
def weights_of_one_bit(seed: int, watched: Watched) -> float:
    """Signs forward, straight through backward: a detach on the way, on purpose."""

    class Signs(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            scale = self.weight.abs().mean()
            signs = self.weight.sign() * scale
            return F.linear(x, self.weight + (signs - self.weight).detach(), self.bias)

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), Signs(64, 128), nn.BatchNorm1d(128), nn.ReLU(), Signs(128, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=10)
    return reached(model, digits)
