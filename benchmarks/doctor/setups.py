"""Twelve healthy trainings of one or two seconds, in parts that a fault can break.

A set-up is a function of a seed that returns `Parts`: data, model, loss, optimizer, plan and loop.
Nothing of it knows of a doctor. `Training` is what the loop is given when all is put together;
`plain` is the loop, written out as in a tutorial.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

import data
from data import Pair

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


# Scores


def accuracy(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target).float().mean())


def right(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(1) == target).sum()


def accuracy_of_two(output: Tensor, target: Tensor) -> float:
    return float(((output > 0) == (target > 0.5)).float().mean())


def right_of_two(output: Tensor, target: Tensor) -> Tensor:
    return ((output > 0).float() == target).sum()


def explained(output: Tensor, target: Tensor) -> float:
    """Share of the variance, the mean over the targets."""
    left = (output - target).square().flatten(1).mean(0)
    there = (target - target.mean(0)).square().flatten(1).mean(0)
    return float((1 - left.sum() / there.sum()).clamp(-10, 1))


def overlap(output: Tensor, target: Tensor) -> float:
    """Intersection over union of the pixels that are covered."""
    said, there = output > 0, target > 0.5
    return float((said & there).sum() / (said | there).sum().clamp(min=1))


# Optimizers and plans


def sgd(parameters: Iterable[Any], rate: float) -> Optimizer:
    return SGD(parameters, lr=rate, momentum=0.9)


def adam(parameters: Iterable[Any], rate: float) -> Optimizer:
    return Adam(parameters, lr=rate)


def adamw(parameters: Iterable[Any], rate: float) -> Optimizer:
    return AdamW(parameters, lr=rate, weight_decay=0.01)


def rmsprop(parameters: Iterable[Any], rate: float) -> Optimizer:
    return RMSprop(parameters, lr=rate)


def cosine(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return CosineAnnealingLR(optimizer, epochs * steps)


def warm_cosine(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    every, warm = epochs * steps, 20

    def factor(step: int) -> float:
        return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(step / every, 1))) + 1e-3)

    return LambdaLR(optimizer, factor)


def staircase(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return StepLR(optimizer, max(epochs * 2 // 3, 1), 0.2)


def one_cycle(optimizer: Optimizer, epochs: int, steps: int) -> Any:
    return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=epochs * steps + 1)


# Networks


def stack(
    widths: Iterable[int], activation: Callable[[], nn.Module] = nn.ReLU, **between: Any
) -> nn.Sequential:
    """Flatten, then linear layers with an activation between them, batch norm and dropout if asked.

    >>> [type(each).__name__ for each in stack([4, 3, 2])]
    ['Flatten', 'Linear', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = [nn.Flatten()]
    pairs = list(itertools.pairwise(widths))
    for number, (wide, out) in enumerate(pairs):
        layers.append(nn.Linear(wide, out))
        if number < len(pairs) - 1:
            if between.get("norm"):
                layers.append(nn.BatchNorm1d(out))
            layers.append(activation())
            if between.get("dropout"):
                layers.append(nn.Dropout(between["dropout"]))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two convolutions with batch norm beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu(self.norm1(self.conv1(x)))
        return self.relu(x + self.norm2(self.conv2(inner)))


def small_resnet(width: int = 12, channels: int = 1, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width),
        nn.MaxPool2d(2),
        Residual(width),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def small_lenet(classes: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(384, 48),
        nn.ReLU(),
        nn.Linear(48, classes),
    )


class Attention(nn.Module):
    """Tokens and their places embedded, one encoder layer with the norm first, a mean, a head."""

    def __init__(
        self, kinds: int = 10, length: int = 12, width: int = 32, classes: int = 4
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(kinds, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.encoder = nn.TransformerEncoderLayer(
            width, 4, 64, dropout=0.1, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, rows: Tensor) -> Tensor:
        x = self.encoder(self.embed(rows) + self.place[: rows.shape[1]])
        return self.head(self.norm(x).mean(1))


class Recurrent(nn.Module):
    """A GRU over (N, T, 2); its last state is judged."""

    def __init__(self, width: int = 24, classes: int = 4) -> None:
        super().__init__()
        self.cell: nn.RNNBase = nn.GRU(2, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.cell(steps)
        return self.head(states[:, -1])


def he(model: nn.Module, gain: float = 1.0) -> nn.Module:
    """He's initialisation of every weight matrix, biases zero."""
    for each in model.modules():
        if isinstance(each, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(each.weight, nonlinearity="relu")
            with torch.no_grad():
                each.weight *= gain
            if each.bias is not None:
                nn.init.zeros_(each.bias)
    return model


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
