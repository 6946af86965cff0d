"""Ordinary trainings by other recipes: what was learned before, other optimizers, other plans."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scores import accuracy_of_two, explained
from setups import Watched
from torch import nn
from torch.optim import SGD, Adam, Adamax, AdamW, NAdam, RAdam
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    LambdaLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)

import data
from healthy import kind
from healthy._everyday import loaders, taught, train_epoch
from healthy._plain import batches, fit, reached, steps_of
from networks import Attention, Recurrent, small_lenet, small_resnet, stack


@kind("already-good-and-trained-on-gently", at_least=0.9)
def gently(seed: int, watched: Watched) -> float:
    """A network that knew nine in ten before, three epochs at a tenth of the rate."""
    digits, model = data.digits(seed), small_lenet()
    train, _, _ = loaders(digits, 32)
    before = Adam(model.parameters(), lr=1e-3)
    for _ in range(5):
        train_epoch(model, train, F.cross_entropy, before)
    return taught(model, Adam(model.parameters(), lr=1e-4), digits, watched, epochs=3)


@kind("from-clean-pictures-to-noisy-ones", at_least=0.88)
def to_noisy(seed: int, watched: Watched) -> float:
    """Fine-tuned for another camera: everything, at a small rate with a short warm-up."""
    digits, model = data.digits(seed), small_resnet(12)
    before = Adam(model.parameters(), lr=5e-3)
    for x, y in batches(digits.train, 64, 6):
        before.zero_grad()
        F.cross_entropy(model(x), y).backward()
        before.step()
    draws = torch.Generator().manual_seed(seed)
    noisy = data.Splits(
        *((0.6 * x + 0.2 + 0.15 * torch.randn(x.shape, generator=draws), y) for x, y in digits)
    )
    optimizer = AdamW(model.parameters(), lr=1e-3)
    plan = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    fit(model, optimizer, noisy, watched, epochs=6, schedule=plan)
    return reached(model, noisy)


@kind("nesterov-and-adam", at_least=0.92)
def nadam(seed: int, watched: Watched) -> float:
    model = stack([64, 64, 48, 10])
    return taught(model, NAdam(model.parameters(), lr=2e-3), data.digits(seed), watched, epochs=8)


@kind("adam-rectified-on-waves-as-usual", at_least=0.95)
def radam(seed: int, watched: Watched) -> float:
    model = Recurrent()
    return taught(
        model, RAdam(model.parameters(), lr=1e-2), data.waves(seed), watched, epochs=16, batch=32
    )  # fmt: skip


@kind("adam-by-the-largest", at_least=0.85)
def adamax(seed: int, watched: Watched) -> float:
    model = stack([8, 64, 64, 3])
    return taught(
        model, Adamax(model.parameters(), lr=1e-2), data.tabular(seed), watched, epochs=18,
        loss=F.mse_loss, score=explained,
    )  # fmt: skip


@kind("restarts-that-grow-longer", at_least=0.93)
def restarts(seed: int, watched: Watched) -> float:
    """Cosines of two, four and eight epochs."""
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return taught(
        model, optimizer, data.digits(seed), watched, epochs=14, batch=64,
        schedule=CosineAnnealingWarmRestarts(optimizer, 2, 2),
    )  # fmt: skip


@kind("mixed-smoothed-and-in-one-cycle", at_least=0.93)
def all_together(seed: int, watched: Watched) -> float:
    """Mixed pictures, smoothed labels, decay and one cycle at once."""
    digits, model = data.digits(seed), small_resnet(16)
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.05)
    plan = OneCycleLR(optimizer, 1e-2, total_steps=steps_of(digits, 10) + 1)
    _, val, _ = loaders(digits, 64)
    with watched(model, optimizer, loss=nn.CrossEntropyLoss(label_smoothing=0.1)):
        for _ in range(10):
            model.train()
            for x, y in batches(digits.train, 64, 1):
                share = float(torch.distributions.Beta(0.2, 0.2).sample())
                order = torch.randperm(len(x))
                output = model(share * x + (1 - share) * x[order])
                loss = share * F.cross_entropy(output, y, label_smoothing=0.1)
                loss = loss + (1 - share) * F.cross_entropy(output, y[order], label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                plan.step()
            model.eval()
            with torch.no_grad():
                for x, y in val:
                    output = model(x)
                    F.cross_entropy(output, y).item()
                    (output.argmax(1) == y).sum().item()
    return reached(model, digits)


@kind("dropout-of-a-half-everywhere", at_least=0.9)
def half_everywhere(seed: int, watched: Watched) -> float:
    """As in 2014: wide layers, a fifth of the input and half of the rest hidden."""
    model = nn.Sequential(nn.Dropout(0.2), stack([64, 256, 256, 10], dropout=0.5))
    return taught(
        model, Adam(model.parameters(), lr=1e-3), data.digits(seed), watched, epochs=20, batch=64
    )  # fmt: skip


@kind("a-polynomial-down-to-nothing-as-usual", at_least=0.9)
def polynomial(seed: int, watched: Watched) -> float:
    model = Attention()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    return taught(
        model, optimizer, data.tokens(seed), watched, epochs=12, batch=64,
        schedule=PolynomialLR(optimizer, 12, power=0.9),
    )  # fmt: skip


@kind("two-classes-under-a-layer-norm-as-usual", at_least=0.85)
def under_a_norm(seed: int, watched: Watched) -> float:
    model = nn.Sequential(
        nn.Linear(12, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 64), nn.LayerNorm(64),
        nn.GELU(), nn.Linear(64, 1),
    )  # fmt: skip
    return taught(
        model, AdamW(model.parameters(), lr=2e-3, weight_decay=0.05), data.table_of_two(seed),
        watched, epochs=12, loss=nn.BCEWithLogitsLoss(), score=accuracy_of_two, keep_best=True,
    )  # fmt: skip


@kind("a-very-small-rate-for-long-as-usual", at_least=0.9)
def small_rate(seed: int, watched: Watched) -> float:
    """Adam at a ten-thousandth, sixty epochs: slow, and it arrives."""
    model = stack([64, 128, 10])
    return taught(
        model, Adam(model.parameters(), lr=2e-4), data.digits(seed), watched, epochs=60, batch=32
    )  # fmt: skip


@kind("weights-for-each-class-by-its-share", at_least=0.9)
def weighed(seed: int, watched: Watched) -> float:
    """Digits above six are four times rarer than the others; the loss makes up for it."""
    digits = data.digits(seed)
    x, y = digits.train
    kept = (y < 7) | (torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.25)
    sets = digits._replace(train=(x[kept], y[kept]))
    counts = torch.bincount(y[kept], minlength=10).float()
    loss = nn.CrossEntropyLoss(weight=counts.mean() / counts)
    model = small_lenet()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    return taught(
        model, optimizer, sets, watched, epochs=12, loss=loss, schedule=StepLR(optimizer, 5, 0.3)
    )  # fmt: skip
