"""Twelve healthy trainings of one or two seconds, in parts that a fault can break.

A set-up is a function of a seed that returns `Parts`: data, model, loss, optimizer, plan and loop.
Nothing of it knows of a doctor. `Training` is what the loop is given when all is put together;
`plain` is the loop, written out as in a tutorial.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from plans import adam, adamw, cosine, one_cycle, rmsprop, sgd, staircase, warm_cosine
from scores import accuracy, accuracy_of_two, explained, overlap, right, right_of_two
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

import data
from data import Pair
from networks import Attention, Recurrent, he, small_lenet, small_resnet, stack

Watched = Callable[..., contextlib.AbstractContextManager[Any]]
"""Called with model, optimizer and, for tools that ask for them, `loss` and `batch`."""


@dataclass
class Parts:
    """A training before it is put together; a fault changes some of this."""

    seed: int
    train: Pair
    val: Pair
    test: Pair
    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[Iterable[Any], float], Optimizer]
    rate: float
    score: Callable[[Tensor, Tensor], float]
    """Of outputs for targets: the higher the better, 1 at best."""
    right: Callable[[Tensor, Tensor], Tensor] | None = None
    """How many of a batch are right, where the loop counts that."""
    schedule: Callable[[Optimizer, int, int], Any] | None = None
    """Of optimizer, epochs and steps of an epoch."""
    schedule_every: str = "epoch"
    batch: int = 64
    epochs: int = 12
    shuffle: bool = True
    drop_last: bool = False
    clip: float | None = None
    augment: Callable[[Tensor], Tensor] | None = None
    loop: Callable[[Training], None] = field(default=lambda training: plain(training))
    wired: Callable[[Training], None] | None = None
    """Something done to the finished training before its loop begins."""
    judge: Callable[[Parts, nn.Module], tuple[float, float]] | None = None
    """Score and loss on the test data, where a fault needs its own reading of the outputs."""
    healthy: Callable[[Tensor, Tensor], Tensor] | None = None
    """The loss of the set-up, which no fault touches."""


@dataclass
class Training:
    """All that stands above a training loop in a script."""

    parts: Parts
    model: nn.Module
    optimizer: Optimizer
    schedule: Any
    train: DataLoader[Any]
    val: DataLoader[Any]
    reported: list[float] = field(default_factory=list)
    """The validation score after each epoch, as the loop computed it."""
    kept: list[Any] = field(default_factory=list)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        return self.parts.loss


@dataclass(frozen=True)
class Outcome:
    """How a training ended."""

    score: float
    loss: float
    reported: float | None
    seconds: float
    grown: float
    """MB that the process holds more after the loop."""
    error: str = ""


def plain(training: Training) -> None:
    """The loop of every tutorial: epochs of batches, then a validation."""
    parts, model, optimizer = training.parts, training.model, training.optimizer
    for _ in range(parts.epochs):
        model.train()
        for x, y in training.train:
            if parts.augment is not None:
                x = parts.augment(x)
            optimizer.zero_grad()
            loss = parts.loss(model(x), y)
            loss.backward()
            if parts.clip is not None:
                clip_grad_norm_(model.parameters(), parts.clip)
            optimizer.step()
            if training.schedule is not None and parts.schedule_every == "step":
                training.schedule.step()
        if training.schedule is not None and parts.schedule_every == "epoch":
            training.schedule.step()
        validate(training)


def validate(training: Training) -> None:
    """Loss and score of the validation data."""
    parts, model = training.parts, training.model
    model.eval()
    total, right, outputs = 0.0, 0, []
    with torch.no_grad():
        for x, y in training.val:
            output = model(x)
            total += parts.loss(output, y).item() * len(y)
            if parts.right is not None:
                right += int(parts.right(output, y))
            outputs.append(output)
    if parts.right is not None:
        training.reported.append(right / max(parts.val[1].numel(), 1))
    else:
        training.reported.append(parts.score(torch.cat(outputs), parts.val[1]))


def assembled(parts: Parts) -> Training:
    """Loaders, optimizer and schedule made of the parts."""
    torch.manual_seed(10_000 + parts.seed)
    train = DataLoader(
        TensorDataset(*parts.train),
        batch_size=parts.batch,
        shuffle=parts.shuffle,
        drop_last=parts.drop_last,
    )
    val = DataLoader(TensorDataset(*parts.val), batch_size=parts.batch)
    optimizer = parts.optimizer(parts.model.parameters(), parts.rate)
    schedule = None
    if parts.schedule is not None:
        schedule = parts.schedule(optimizer, parts.epochs, max(len(train), 1))
    training = Training(parts, parts.model, optimizer, schedule, train, val)
    if parts.wired is not None:
        parts.wired(training)
    return training


def trained(parts: Parts, watched: Watched) -> Outcome:
    """The whole training under `watched`, and what came of it."""
    training = assembled(parts)
    torch.manual_seed(20_000 + parts.seed)
    error, before, began = "", _resident(), time.perf_counter()
    batch = tuple(each[: parts.batch].clone() for each in parts.train)
    try:
        with watched(training.model, training.optimizer, loss=parts.loss, batch=batch):
            parts.loop(training)
    except (RuntimeError, ValueError, IndexError, TypeError) as raised:
        error = f"{type(raised).__name__}: {raised}".partition("\n")[0][:120]
    seconds, grown = time.perf_counter() - began, _resident() - before
    try:
        score, loss = (parts.judge or judged)(parts, training.model)
    except (RuntimeError, ValueError, IndexError, TypeError):
        score, loss = math.nan, math.nan
    reported = training.reported[-1] if training.reported else None
    return Outcome(score, loss, reported, seconds, grown, error)


@contextlib.contextmanager
def nobody(*_: object, **__: object) -> Iterator[None]:
    """Watched by nobody."""
    yield


@torch.no_grad()
def judged(parts: Parts, model: nn.Module) -> tuple[float, float]:
    """Score and loss on the test data, by the loss of the set-up that no fault has touched."""
    model.eval()
    x, y = parts.test
    output = torch.cat([model(each) for each in x.split(parts.batch)])
    assert parts.healthy is not None
    return parts.score(output, y), float(parts.healthy(output, y))


def _resident() -> float:
    """MB of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


# The set-ups

SETUPS: dict[str, Callable[[int], Parts]] = {}


def setup(name: str) -> Callable[[Callable[[int], Parts]], Callable[[int], Parts]]:
    def enter(make: Callable[[int], Parts]) -> Callable[[int], Parts]:
        def seeded(seed: int) -> Parts:
            torch.manual_seed(seed)
            parts = make(seed)
            parts.healthy = parts.loss
            return parts

        SETUPS[name] = seeded
        return seeded

    return enter


@setup("mlp")
def mlp(seed: int) -> Parts:
    """Three linear layers on the digits, SGD with momentum at a constant rate."""
    return Parts(
        seed, *data.digits(seed), stack([64, 64, 48, 10]), F.cross_entropy, sgd, 0.05,
        accuracy, right, epochs=16,
    )  # fmt: skip


@setup("lenet")
def lenet(seed: int) -> Parts:
    """Two convolutions and two linear layers on the digits, Adam."""
    return Parts(
        seed, *data.digits(seed), small_lenet(), nn.CrossEntropyLoss(), adam, 3e-3,
        accuracy, right, staircase, epochs=10,
    )  # fmt: skip


@setup("resnet")
def resnet(seed: int) -> Parts:
    """Two residual blocks with batch norm on the digits, SGD with a cosine."""
    return Parts(
        seed, *data.digits(seed), small_resnet(), F.cross_entropy, sgd, 0.05,
        accuracy, right, cosine, "step", epochs=10,
    )  # fmt: skip


@setup("bn-mlp")
def bn_mlp(seed: int) -> Parts:
    """Batch norm and dropout between linear layers on the digits, one cycle of AdamW."""
    return Parts(
        seed, *data.digits(seed), stack([64, 64, 64, 10], norm=True, dropout=0.2),
        F.cross_entropy, adamw, 1e-2, accuracy, right, one_cycle, "step",
    )  # fmt: skip


@setup("deep-tanh")
def deep_tanh(seed: int) -> Parts:
    """Eight tanh layers by Glorot on the digits, SGD with momentum."""
    model = stack([64, *[40] * 7, 10], nn.Tanh)
    for each in model:
        if isinstance(each, nn.Linear):
            nn.init.xavier_normal_(each.weight, gain=1.2)
            nn.init.zeros_(each.bias)
    return Parts(
        seed, *data.digits(seed), model, F.cross_entropy, sgd, 0.02, accuracy, right
    )  # fmt: skip


@setup("deep-relu")
def deep_relu(seed: int) -> Parts:
    """Eight ReLU layers by He on the digits, Adam."""
    model = he(stack([64, *[40] * 7, 10]))
    return Parts(
        seed, *data.digits(seed), model, F.cross_entropy, adam, 1e-3, accuracy, right, epochs=14
    )  # fmt: skip


@setup("transformer")
def transformer(seed: int) -> Parts:
    """One encoder layer that counts tokens, AdamW with warm-up and a cosine."""
    return Parts(
        seed, *data.tokens(seed), Attention(), F.cross_entropy, adamw, 5e-3,
        accuracy, right, warm_cosine, "step", epochs=8,
    )  # fmt: skip


@setup("gru")
def gru(seed: int) -> Parts:
    """A GRU that tells four kinds of waves apart, RMSprop with a clipped gradient."""
    return Parts(
        seed, *data.waves(seed), Recurrent(), nn.CrossEntropyLoss(), rmsprop, 3e-3,
        accuracy, right, epochs=12, clip=1.0,
    )  # fmt: skip


@setup("regression")
def regression(seed: int) -> Parts:
    """Three targets of eight features, Adam with a staircase."""
    return Parts(
        seed, *data.tabular(seed), stack([8, 64, 64, 3]), F.mse_loss, adam, 5e-3,
        explained, schedule=staircase, epochs=20,
    )  # fmt: skip


@setup("binary")
def binary(seed: int) -> Parts:
    """Two classes of twelve features with dropout, AdamW."""
    return Parts(
        seed, *data.table_of_two(seed), stack([12, 64, 32, 1], dropout=0.1),
        nn.BCEWithLogitsLoss(), adamw, 5e-3, accuracy_of_two, right_of_two, epochs=16,
    )  # fmt: skip


@setup("segmentation")
def segmentation(seed: int) -> Parts:
    """Which pixels a shape covers: four convolutions and a transposed one, Adam."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(24, 16, 4, stride=4), nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
    )  # fmt: skip
    return Parts(
        seed, *data.masks(seed), model, nn.BCEWithLogitsLoss(), adam, 1e-2, overlap,
        right_of_two, staircase, epochs=14, batch=50,
    )  # fmt: skip


@setup("autoencoder")
def autoencoder(seed: int) -> Parts:
    """Digits through twelve numbers and back, Adam."""
    splits = [(x, x.flatten(1)) for x, _ in data.digits(seed)]
    model = nn.Sequential(stack([64, 48, 12]), stack([12, 48, 64]), nn.Sigmoid())
    return Parts(seed, *splits, model, nn.MSELoss(), adam, 5e-3, explained, epochs=16)
