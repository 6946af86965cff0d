"""Answers that are neither a class nor a number: densities, orders, hazards, shares, codes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from setups import Watched, accuracy, explained, stack
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

import data
from healthy import kind
from healthy._plain import batches, fit, reached


@kind("mixture-of-densities", at_least=0.25)
def mixture(seed: int, watched: Watched) -> float:
    """Two branches of y for each x, three Gaussians: nats gained on one Gaussian for all."""
    draws = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(2000, 1, generator=draws) - 1
    side = torch.randint(0, 2, (2000, 1), generator=draws) * 2 - 1
    y = side * (0.3 + x.square()) + 0.1 * torch.randn(2000, 1, generator=draws)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        share, mean, width = output.chunk(3, 1)
        each = -0.5 * ((y - mean) / width.exp()) ** 2 - width - 0.5 * math.log(2 * math.pi)
        return -(share.log_softmax(1) + each).logsumexp(1).mean()

    sets = data.split(x, y, seed)
    model = stack([1, 48, 48, 9], nn.Tanh)
    fit(model, Adam(model.parameters(), lr=5e-3), sets, watched, loss=loss, epochs=16)
    plain = 0.5 * math.log(2 * math.pi * math.e * float(sets.train[1].var()))
    return reached(model, sets, lambda output, y: plain - float(loss(output, y)))


@kind("hidden-patches", at_least=0.3)
def hidden_patches(seed: int, watched: Watched) -> float:
    """Three quarters of the picture are covered, the loss asks for the covered part alone."""
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 24, 3, padding=1), nn.GELU(), nn.Conv2d(24, 32, 3, padding=1), nn.GELU(),
        nn.Flatten(), nn.Linear(2048, 64), nn.Unflatten(1, (1, 8, 8)),
    )  # fmt: skip
    optimizer = AdamW(model.parameters(), lr=2e-3)

    def covered(x: Tensor) -> Tensor:
        return (
            (torch.rand(len(x), 1, 4, 4) < 0.6)
            .float()
            .repeat_interleave(2, 2)
            .repeat_interleave(2, 3)
        )

    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 16):
            away = covered(x)
            output = model(torch.cat([x * (1 - away), away], 1))
            loss = ((output - x).square() * away).sum() / away.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, _ = digits.test
    away = covered(x)
    with torch.no_grad():
        output = model(torch.cat([x * (1 - away), away], 1))
    left = ((output - x).square() * away).sum()
    return 1 - float(left / ((x - x.mean(0)).square() * away).sum())


@kind("a-soft-tree", at_least=0.7)
def soft_tree(seed: int, watched: Watched) -> float:
    """Fifteen soft decisions lead to sixteen leaves: products of sigmoids, a mixture of softmaxes,
    its logarithm."""

    class Tree(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = nn.Linear(64, 15)
            self.leaves = nn.Parameter(0.1 * torch.randn(16, 10))

        def forward(self, x: Tensor) -> Tensor:
            right = (2 * self.ask(x.flatten(1))).sigmoid()
            path = torch.ones(len(x), 1)
            for level in range(4):
                here = right[:, 2**level - 1 : 2 ** (level + 1) - 1]
                path = torch.stack([path * (1 - here), path * here], 2).flatten(1)
            return (path @ self.leaves.softmax(1)).clamp(min=1e-8).log()

    digits = data.digits(seed)
    model = Tree()
    fit(model, Adam(model.parameters(), lr=5e-2), digits, watched, loss=F.nll_loss, epochs=14)
    return reached(model, digits)


@kind("choices-by-gumbel", at_least=0.4)
def gumbel(seed: int, watched: Watched) -> float:
    """An autoencoder over twelve hard choices of one in six."""

    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.there, self.back = stack([64, 64, 72]), stack([72, 64, 64])

        def forward(self, x: Tensor) -> Tensor:
            scores = self.there(x).unflatten(1, (12, 6))
            if self.training:
                chosen = F.gumbel_softmax(scores, tau=1.0, hard=True)
            else:
                chosen = F.one_hot(scores.argmax(2), 6).float()
            return self.back(chosen.flatten(1))

    digits = data.Splits(*((x, x.flatten(1)) for x, _ in data.digits(seed)))
    model = Choosing()
    fit(model, Adam(model.parameters(), lr=4e-3), digits, watched, loss=F.mse_loss, epochs=16)
    return reached(model, digits, explained)


@kind("noisy-targets-of-noisy-inputs", at_least=0.6)
def noise_to_noise(seed: int, watched: Watched) -> float:
    """Taught by other noise: the training loss ends far above what is reached on clean targets."""
    digits = data.digits(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1536, 64), nn.Unflatten(1, (1, 8, 8)),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 10):
            output = model(x + 0.3 * torch.randn_like(x))
            loss = F.mse_loss(output, x + 0.6 * torch.randn_like(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    x, _ = digits.test
    with torch.no_grad():
        return explained(model(x + 0.3 * torch.randn_like(x)).flatten(1), x.flatten(1))


@kind("minus-one-and-one", at_least=0.8)
def signs(seed: int, watched: Watched) -> float:
    """Hinges on targets of -1 and 1, few of which are active at the end."""
    table = data.table_of_two(seed)
    table = data.Splits(*((x, 2 * y - 1) for x, y in table))
    model = stack([12, 64, 1])
    fit(
        model, AdamW(model.parameters(), lr=5e-3, weight_decay=0.1), table, watched, epochs=12,
        loss=lambda output, y: (1 - output * y).relu().mean(),
    )  # fmt: skip
    return reached(model, table, lambda output, y: float((output * y > 0).float().mean()))


@kind("three-quantiles", at_least=0.85)
def three_quantiles(seed: int, watched: Watched) -> float:
    """(N, 3) against (N, 1): 1 minus ten times the worst error of a share that is below."""
    levels = torch.tensor([0.1, 0.5, 0.9])

    def loss(output: Tensor, y: Tensor) -> Tensor:
        over = y - output
        return torch.maximum(levels * over, (levels - 1) * over).mean()

    table = data.tabular(seed)
    table = data.Splits(*((x, y[:, 1:2]) for x, y in table))
    model = stack([8, 24, 3])
    fit(model, Adam(model.parameters(), lr=4e-3), table, watched, loss=loss, epochs=8)
    x, y = table.test
    below = (y < model(x)).float().mean(0)
    return 1 - float((below - levels).abs().max())


@kind("survival-by-discrete-hazards", at_least=0.7)
def hazards(seed: int, watched: Watched) -> float:
    """A yes or no for each year that was lived through; the rest is masked. Concordance."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2000, 6, generator=draws)
    risk = x[:, 0] + x[:, 1] * x[:, 2]
    time = (torch.rand(2000, generator=draws).log().neg() * (1.2 - risk).exp()).clamp(max=9.99)
    seen = (time < 9.9) & (torch.rand(2000, generator=draws) < 0.8)
    table = data.split(x, torch.stack([time, seen.float(), risk], 1), seed)
    years = torch.arange(10)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        year = y[:, :1].floor()
        lived = (years <= year).float()
        died = (years == year).float() * y[:, 1:2]
        each = F.binary_cross_entropy_with_logits(output, died, reduction="none")
        return (each * lived).sum() / lived.sum()

    def concordance(output: Tensor, y: Tensor) -> float:
        said = output.sum(1)
        later = y[:, None, 2] < y[None, :, 2]
        return float((said[:, None] < said[None])[later].float().mean())

    model = stack([6, 32, 32, 10])
    fit(model, Adam(model.parameters(), lr=4e-3), table, watched, loss=loss, epochs=10)
    return reached(model, table, concordance)


@kind("zeros-and-amounts", at_least=0.5)
def zeros_and_amounts(seed: int, watched: Watched) -> float:
    """Seven targets in ten are 0, the others log-normal: a gate and an amount, two losses."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 6, generator=draws)
    buys = x[:, 0] + x[:, 1].abs() + 0.3 * torch.randn(3000, generator=draws) > 1.3
    amount = (0.8 * x[:, 2] + 0.5 * x[:, 3] + 0.2 * torch.randn(3000, generator=draws)).exp()
    table = data.split(x, (amount * buys)[:, None], seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        there = y[:, 0] > 0
        gate = F.binary_cross_entropy_with_logits(output[:, 0], there.float())
        return gate + F.mse_loss(output[there, 1], y[there, 0].log())

    def score(output: Tensor, y: Tensor) -> float:
        said = output[:, :1].sigmoid() * output[:, 1:].exp()
        return explained(said, y)

    model = stack([6, 48, 2])
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=loss, epochs=10)
    return reached(model, table, score)


@kind("pairs-in-order", at_least=0.85)
def pairs_in_order(seed: int, watched: Watched) -> float:
    """Which of two is better? The network is called twice, its scores have no level."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 2, 8, generator=draws)
    worth = x[..., 0] * x[..., 1] + x[..., 2].abs() - x[..., 3]
    better = (worth[:, 0] > worth[:, 1]).float()
    model = stack([8, 48, 1])
    optimizer = Adam(model.parameters(), lr=4e-3)
    with watched(model, optimizer):
        for a, b in batches((x[:2400], better[:2400]), 64, 12):
            apart = (model(a[:, 0]) - model(a[:, 1]))[:, 0]
            loss = F.softplus(torch.where(b > 0.5, -apart, apart)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    apart = (model(x[2400:, 0]) - model(x[2400:, 1]))[:, 0]
    return float(((apart > 0).float() == better[2400:]).float().mean())


@kind("log-of-amounts", at_least=0.6)
def log_of_amounts(seed: int, watched: Watched) -> float:
    """Amounts over four decades, learned and judged by their logarithm."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 8, generator=draws)
    y = (
        2 * x[:, :1] + x[:, 1:2] * x[:, 2:3] + 4 + 0.2 * torch.randn(2500, 1, generator=draws)
    ).exp()
    table = data.split(x, y, seed)
    model = nn.Sequential(stack([8, 64, 1]), nn.Softplus())
    fit(
        model, RMSprop(model.parameters(), lr=5e-3), table, watched, epochs=14,
        loss=lambda output, y: F.mse_loss(output.log1p(), y.log1p()),
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output.log1p(), y.log1p()))


@kind("adagrad", at_least=0.9)
def adagrad(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    fit(model, Adagrad(model.parameters(), lr=0.1), digits, watched)
    return reached(model, digits)


@kind("sign-descent", at_least=0.87)
def sign_descent(seed: int, watched: Watched) -> float:
    """Only the sign of the gradient counts: every weight moves as far in every step."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=2e-3)
    plan = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, 200)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 64, 12):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in model.parameters():
                assert each.grad is not None
                each.grad.sign_()
            optimizer.step()
            plan.step()
    return reached(model, digits)


@kind("beta-regression", at_least=0.7)
def beta_regression(seed: int, watched: Watched) -> float:
    """Shares between 0 and 1 by the likelihood of a Beta: negative, and hardly bounded."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(2500, 6, generator=draws)
    middle = (x[:, :1] + x[:, 1:2] * x[:, 2:3]).sigmoid().clamp(0.02, 0.98)
    share = torch._sample_dirichlet(
        torch.cat([30 * middle, 30 * (1 - middle)], 1), generator=draws
    )[:, :1].clamp(1e-4, 1 - 1e-4)
    table = data.split(x, torch.cat([share, middle], 1), seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        mean, sure = output[:, :1].sigmoid(), F.softplus(output[:, 1:]) + 0.5
        chance = torch.distributions.Beta(mean * sure, (1 - mean) * sure, validate_args=False)
        return -chance.log_prob(y[:, :1]).mean()

    model = stack([6, 48, 2])
    fit(model, Adam(model.parameters(), lr=4e-3), table, watched, loss=loss, epochs=14)
    return reached(model, table, lambda output, y: explained(output[:, :1].sigmoid(), y[:, 1:]))


@kind("cauchy-noise", at_least=0.8)
def heavy_tails(seed: int, watched: Watched) -> float:
    """Noise without a variance under the absolute loss: R2 of the noiseless target."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(3000, 6, generator=draws)
    clean = x[:, :1] + (2 * x[:, 1:2]).sin() + x[:, 2:3] * x[:, 3:4]
    noise = 0.15 * torch.tan(math.pi * (torch.rand(3000, 1, generator=draws) - 0.5))
    table = data.split(x, torch.cat([clean + noise, clean], 1), seed)
    model = stack([6, 64, 1])
    fit(
        model, Adam(model.parameters(), lr=5e-3), table, watched, epochs=12,
        loss=lambda output, y: F.l1_loss(output, y[:, :1]),
    )  # fmt: skip
    return reached(model, table, lambda output, y: explained(output, y[:, 1:]))


@kind("coarse-and-fine", at_least=0.9)
def coarse_and_fine(seed: int, watched: Watched) -> float:
    """The fine classes of a coarse one share its probability: a product, in logarithms."""

    class Tree(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(stack([64, 64]), nn.ReLU())
            self.coarse, self.fine = nn.Linear(64, 2), nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            known = self.body(x)
            inner = self.fine(known).unflatten(1, (2, 5)).log_softmax(2)
            return (self.coarse(known).log_softmax(1)[:, :, None] + inner).flatten(1)

    digits = data.digits(seed)
    model = Tree()
    fit(model, Adam(model.parameters(), lr=4e-3), digits, watched, loss=F.nll_loss)
    return reached(model, digits, accuracy)
