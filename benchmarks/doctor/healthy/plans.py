"""Odd plans: optimizers, rates, batches and weights handled in unusual ways that work."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from scores import explained
from setups import Watched
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
)
from torch.optim.swa_utils import SWALR, AveragedModel

import data
from healthy import kind
from healthy._plain import batches, fit, reached, steps_of
from networks import small_lenet, small_resnet, stack


@kind("warm-restarts", at_least=0.92)
def warm_restarts(seed: int, watched: Watched) -> float:
    """The loss jumps at each restart of the cosine."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    plan = CosineAnnealingWarmRestarts(optimizer, T_0=45)
    fit(model, optimizer, digits, watched, epochs=10, schedule=plan)
    return reached(model, digits)


@kind("a-cyclic-rate", at_least=0.92)
def a_cyclic_rate(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    plan = CyclicLR(optimizer, 0.005, 0.15, step_size_up=25, cycle_momentum=False)
    fit(model, optimizer, digits, watched, epochs=11, schedule=plan)
    return reached(model, digits)


@kind("a-long-warm-up", at_least=0.9)
def a_long_warm_up(seed: int, watched: Watched) -> float:
    """From a millionth of the rate over half of the training."""
    digits = data.digits(seed)
    model = stack([64, 64, 48, 10])
    optimizer = AdamW(model.parameters(), lr=5e-3)
    half = steps_of(digits, 10) // 2
    plan = LambdaLR(optimizer, lambda step: max(min(step / half, 1.0), 1e-6))
    fit(model, optimizer, digits, watched, epochs=10, schedule=plan)
    return reached(model, digits)


@kind("a-rate-that-ends-at-zero", at_least=0.92)
def a_rate_that_ends_at_zero(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=5e-3)
    total = steps_of(digits, 8)
    plan = LambdaLR(optimizer, lambda step: max(1 - step / total, 0.0))
    fit(model, optimizer, digits, watched, schedule=plan)
    return reached(model, digits)


@kind("super-convergence", at_least=0.93)
def super_convergence(seed: int, watched: Watched) -> float:
    """One cycle up to a rate of one half, with batch norm."""
    digits = data.digits(seed)
    model = small_resnet()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    plan = OneCycleLR(optimizer, 0.5, total_steps=steps_of(digits, 7) + 1)
    fit(model, optimizer, digits, watched, epochs=7, schedule=plan)
    return reached(model, digits)


@kind("halved-on-a-plateau", at_least=0.92)
def halved_on_a_plateau(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=5e-3)
    plan = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(12):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                plan.step(float(F.cross_entropy(model(digits.val[0]), digits.val[1])))
    return reached(model, digits)


@kind("lbfgs", at_least=0.9)
def lbfgs(seed: int, watched: Watched) -> float:
    """A closure that is called many times a step, on the whole set."""
    digits = data.digits(seed)
    model = stack([64, 32, 10])
    optimizer = LBFGS(model.parameters(), lr=0.5, max_iter=10)
    x, y = digits.train

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) + 1e-3 * sum(
            each.square().sum() for each in model.parameters()
        )
        loss.backward()
        return loss

    with watched(model, optimizer):
        for _ in range(12):
            optimizer.step(closure)
    return reached(model, digits)


@kind("full-batch", at_least=0.9)
def full_batch(seed: int, watched: Watched) -> float:
    """One batch an epoch: it repeats for ever, unshuffled."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    x, y = digits.train
    with watched(model, optimizer, loss=F.cross_entropy, batch=(x, y)):
        for _ in range(250):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("batches-of-one", at_least=0.88)
def batches_of_one(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 48, 10])
    optimizer = SGD(model.parameters(), lr=0.01)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in itertools.islice(batches(digits.train, 1, 3), 2500):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("gradients-of-four-batches", at_least=0.92)
def accumulation(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        optimizer.zero_grad()
        for number, (x, y) in enumerate(batches(digits.train, 16, 8)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if number % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    return reached(model, digits)


@kind("a-mean-of-the-weights", at_least=0.92)
def stochastic_weight_averaging(seed: int, watched: Watched) -> float:
    """Stochastic weight averaging at a constant high rate (Izmailov et al. 2018)."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    mean = AveragedModel(model)
    plan = SWALR(optimizer, swa_lr=0.05, anneal_epochs=3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for epoch in range(10):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if epoch >= 5:
                mean.update_parameters(model)
                plan.step()
    return reached(mean, digits)


@kind("a-moving-mean-of-the-weights", at_least=0.92)
def moving_mean(seed: int, watched: Watched) -> float:
    """The exponential mean is validated, and the model is trained."""
    digits = data.digits(seed)
    model = small_lenet()
    shadow = copy.deepcopy(model).requires_grad_(False)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(10):
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                with torch.no_grad():
                    for mine, theirs in zip(shadow.parameters(), model.parameters(), strict=True):
                        mine.lerp_(theirs, 0.05)
            with torch.no_grad():
                F.cross_entropy(shadow(digits.val[0]), digits.val[1])
    return reached(shadow, digits)


@kind("clipped-at-each-step-to-good-use", at_least=0.9)
def clipped_at_each_step(seed: int, watched: Watched) -> float:
    """The clip is always active: a step of constant length at a rate made for that."""
    waves = data.waves(seed)
    model = nn.GRU(2, 24, batch_first=True)

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = model, nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][:, -1])

    whole = Last()
    optimizer = SGD(whole.parameters(), lr=0.8, momentum=0.9)
    total = steps_of(waves, 12)
    plan = LambdaLR(optimizer, lambda step: max(1 - step / total, 0.02))
    fit(whole, optimizer, waves, watched, epochs=12, clip=0.2, schedule=plan)
    return reached(whole, waves)


@kind("large-decay-that-works", at_least=0.92)
def large_decay(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = AdamW(model.parameters(), lr=3e-3, weight_decay=2.0)
    fit(model, optimizer, digits, watched, epochs=8)
    return reached(model, digits)


@kind("sharpness-aware", at_least=0.92)
def sharpness_aware(seed: int, watched: Watched) -> float:
    """Two backwards a step, the weights moved uphill and back between (Foret et al. 2021)."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 8):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                norm = torch.stack([each.grad.norm() for each in model.parameters()]).norm()
                moves = [0.05 * each.grad / norm for each in model.parameters()]
                for each, move in zip(model.parameters(), moves, strict=True):
                    each += move
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for each, move in zip(model.parameters(), moves, strict=True):
                    each -= move
            optimizer.step()
    return reached(model, digits)


class Sign(Optimizer):
    """Steps of one size in each coordinate: the sign of a mean of gradients."""

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for each in group["params"]:
                if each.grad is not None:
                    mean = self.state[each].setdefault("mean", torch.zeros_like(each))
                    mean.lerp_(each.grad, 0.1)
                    each -= group["lr"] * mean.sign()


@kind("an-optimizer-of-ones-own", at_least=0.9)
def an_optimizer_of_ones_own(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    fit(model, Sign(model.parameters(), 2e-3), digits, watched)
    return reached(model, digits)


@kind("noise-in-the-gradients", at_least=0.9)
def noise_in_the_gradients(seed: int, watched: Watched) -> float:
    """Clipped and noised, as for privacy."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.8)
    with watched(model, optimizer, loss=F.cross_entropy):
        for x, y in batches(digits.train, 64, 14):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for each in model.parameters():
                each.grad += 0.01 * torch.randn_like(each)
            optimizer.step()
    return reached(model, digits)


@kind("lookahead", at_least=0.92)
def lookahead(seed: int, watched: Watched) -> float:
    """Every fifth step the weights are set half-way back (Zhang et al. 2019)."""
    digits = data.digits(seed)
    model = small_lenet()
    slow = [each.detach().clone() for each in model.parameters()]
    count = itertools.count(1)

    @torch.no_grad()
    def back() -> None:
        if next(count) % 5 == 0:
            for mine, theirs in zip(slow, model.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)
                theirs.copy_(mine)

    fit(model, Adam(model.parameters(), lr=5e-3), digits, watched, after_step=back)
    return reached(model, digits)


@kind("at-the-edge-of-stability", at_least=0.9)
def edge_of_stability(seed: int, watched: Watched) -> float:
    """Full batches at a rate where the loss is not monotone, and falls (Cohen et al. 2021)."""
    digits = data.digits(seed)
    model = stack([64, 64, 10], nn.Tanh)
    optimizer = SGD(model.parameters(), lr=1.2)
    x, y = digits.train
    with watched(model, optimizer, loss=F.cross_entropy, batch=(x, y)):
        for _ in range(300):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return reached(model, digits)


@kind("plain-sgd", at_least=0.9)
def plain_sgd(seed: int, watched: Watched) -> float:
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    fit(model, SGD(model.parameters(), lr=0.3), digits, watched, epochs=10)
    return reached(model, digits)


@kind("one-pass-over-a-stream", at_least=0.8)
def one_pass_over_a_stream(seed: int, watched: Watched) -> float:
    """No epochs, no validation: each sample is seen once, in the order it comes."""
    draws = torch.Generator().manual_seed(seed)
    model = stack([8, 64, 64, 1])
    optimizer = Adam(model.parameters(), lr=5e-3)

    def rule(x: Tensor) -> Tensor:
        return (1.5 * x[:, :1]).sin() + x[:, 1:2] * x[:, 2:3]

    with watched(model, optimizer, loss=F.mse_loss):
        for _ in range(500):
            x = torch.randn(64, 8, generator=draws)
            optimizer.zero_grad()
            F.mse_loss(model(x), rule(x)).backward()
            optimizer.step()
    x = torch.randn(500, 8, generator=draws)
    return explained(model(x), rule(x))


@kind("not-shuffled-and-in-no-order", at_least=0.9)
def not_shuffled(seed: int, watched: Watched) -> float:
    """shuffle=False of data that has no order."""
    digits = data.digits(seed)
    model = small_lenet()
    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, shuffle=False)
    return reached(model, digits)


@kind("easy-ones-first", at_least=0.9)
def easy_ones_first(seed: int, watched: Watched) -> float:
    """A curriculum: four classes first, then all; the loss jumps when the new ones come."""
    digits = data.digits(seed)
    model = stack([64, 64, 10])
    optimizer = Adam(model.parameters(), lr=3e-3)
    x, y = digits.train
    with watched(model, optimizer, loss=F.cross_entropy):
        for first in (y < 4, y < 10):
            for inputs, labels in batches((x[first], y[first]), 64, 8):
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
    return reached(model, digits)


@kind("trained-harder-than-judged", at_least=0.9)
def strong_augmentation(seed: int, watched: Watched) -> float:
    """Noise and holes in training only: the training loss stays above the validation's."""
    digits = data.digits(seed)
    model = small_lenet()

    def augment(x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > 0.2) + 0.2 * torch.randn_like(x)

    fit(model, Adam(model.parameters(), lr=3e-3), digits, watched, epochs=12, augment=augment)
    return reached(model, digits)


@kind("a-hundred-rows", at_least=0.8)
def a_hundred_rows(seed: int, watched: Watched) -> float:
    """Few rows, few parameters, much decay: little data that suffices."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(600, 4, generator=draws)
    y = x @ torch.tensor([[1.0], [-1.0], [0.5], [0.0]]) + 0.3 * torch.randn(600, 1, generator=draws)
    table = data.split(x, y, seed, val=100, test=400)
    model = stack([4, 8, 1])
    fit(
        model, AdamW(model.parameters(), lr=1e-2, weight_decay=0.1), table, watched,
        loss=F.mse_loss, epochs=60, batch=25,
    )  # fmt: skip
    return reached(model, table, explained)


@kind("a-step-back-to-the-best-epoch", at_least=0.92)
def back_to_the_best(seed: int, watched: Watched) -> float:
    """The best weights are kept and loaded in the end, inside the watch."""
    digits = data.digits(seed)
    model = small_lenet()
    optimizer = Adam(model.parameters(), lr=3e-3)
    best, kept = 0.0, copy.deepcopy(model.state_dict())
    with watched(model, optimizer, loss=F.cross_entropy):
        for _ in range(9):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            share = reached(model, digits._replace(test=digits.val))
            if share > best:
                best, kept = share, copy.deepcopy(model.state_dict())
        model.load_state_dict(kept)
    return reached(model, digits)
