"""Odd networks: few weights, units, rows or columns have a part in each step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import explained
from setups import Watched, nobody
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, SparseAdam

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import stack


class Bag(nn.Module):
    """Two thousand embeddings of which ten are ever asked for; their mean is judged."""

    def __init__(self, *, sparse: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(2000, 16, sparse=sparse)
        self.head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.embed(rows).mean(1))


@kind("embeddings-of-which-few-are-used", at_least=0.9)
def few_rows_used(seed: int, watched: Watched) -> float:
    tokens = data.tokens(seed)
    model = Bag()
    fit(model, AdamW(model.parameters(), lr=1e-2), tokens, watched)
    return reached(model, tokens)


@kind("sparse-gradients", at_least=0.9)
def sparse_gradients(seed: int, watched: Watched) -> float:
    tokens = data.tokens(seed)
    model = Bag(sparse=True)
    pair = [SparseAdam(model.embed.parameters(), lr=1e-2), Adam(model.head.parameters(), lr=1e-2)]
    with watched(model, pair, loss=F.cross_entropy):
        for x, y in batches(tokens.train, 64, 8):
            for each in pair:
                each.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in pair:
                each.step()
    return reached(model, tokens)


@kind("sparse-activations", at_least=0.92)
def sparse_activations(seed: int, watched: Watched) -> float:
    """Biases below zero: nine in ten activations are 0, and every unit answers something."""
    digits = data.digits(seed)
    model = stack([64, 256, 10])
    with torch.no_grad():
        model[1].weight.mul_(4)
        model[1].bias.fill_(-2.0)
    fit(model, Adam(model.parameters(), lr=2e-3), digits, watched)
    return reached(model, digits)


@kind("the-best-k-units", at_least=0.9)
def best_k_units(seed: int, watched: Watched) -> float:
    class Best(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            least = x.topk(24, 1).values[:, -1:]
            return x * (x >= least)

    digits = data.digits(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), Best(), nn.Linear(128, 10))
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=14)
    return reached(model, digits)


@kind("experts-that-are-rarely-asked", at_least=0.9)
def experts(seed: int, watched: Watched) -> float:
    """A router sends each sample to one of six experts; some get little."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(64, 6)
            self.experts = nn.ModuleList(stack([64, 32, 10]) for _ in range(6))

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            shares = self.router(x).softmax(1)
            best, which = shares.max(1)
            output = x.new_zeros(len(x), 10)
            for number, expert in enumerate(self.experts):
                mine = which == number
                if mine.any():
                    output[mine] = expert(x[mine]) * best[mine, None]
            return output

    digits = data.digits(seed)
    model = Mixture()
    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, epochs=10)
    return reached(model, digits)


@kind("gates-that-are-nearly-shut", at_least=0.9)
def gates_nearly_shut(seed: int, watched: Watched) -> float:
    """Highway layers whose gates start at sigmoid(-3): saturated, and meant so."""

    class Highway(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.gate = nn.Linear(48, 48), nn.Linear(48, 48)
            nn.init.constant_(self.gate.bias, -3.0)

        def forward(self, x: Tensor) -> Tensor:
            gate = self.gate(x).sigmoid()
            return gate * F.relu(self.inner(x)) + (1 - gate) * x

    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), *[Highway() for _ in range(6)], nn.Linear(48, 10)
    )
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched)
    return reached(model, digits)


@kind("columns-that-are-nearly-always-zero", at_least=0.8)
def rare_columns(seed: int, watched: Watched) -> float:
    """One-hot columns of rare places beside the numbers."""
    draws = torch.Generator().manual_seed(seed)
    place = torch.multinomial(torch.logspace(0, -3, 40), 2500, replacement=True, generator=draws)
    numbers = torch.randn(2500, 4, generator=draws)
    effect = torch.randn(40, generator=draws)
    y = numbers[:, :1] * 0.7 + effect[place][:, None] + numbers[:, 1:2].abs()
    x = torch.cat([numbers, F.one_hot(place, 40).float()], 1)
    table = data.split(x, y, seed)
    model = stack([44, 48, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=8
    )  # fmt: skip
    return reached(model, table, explained)


@kind("pruned-and-trained-on", at_least=0.9)
def pruned(seed: int, watched: Watched) -> float:
    """Eight in ten weights are zero and kept so."""
    digits = data.digits(seed)
    model = stack([64, 128, 10])
    fit(model, Adam(model.parameters(), lr=3e-3), digits, nobody, epochs=5)
    masks = {}
    for name, each in model.named_parameters():
        if each.ndim == 2:
            masks[name] = each.detach().abs() >= each.detach().abs().flatten().quantile(0.8)

    @torch.no_grad()
    def prune() -> None:
        for name, each in model.named_parameters():
            if name in masks:
                each *= masks[name]

    prune()
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    fit(model, optimizer, digits, watched, epochs=5, after_step=prune)
    return reached(model, digits)
