"""The networks and data of the speed benchmark, the clock and what a contender is given.

Nothing here imports a framework: every contender, in whatever environment, reads its numbers from
the arrays that the driver wrote (`feeds.write_arrays`), and tells the driver through one pipe.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

LOG_EVERY = 50

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A network and the data it is timed on: after `first` steps to warm up, `bursts` times
    `burst` steps, with at least one end of an epoch among them.

    `goal` is the accuracy that the other part of the benchmark trains to, in at most `longest`
    epochs.
    """

    name: str
    key: str
    model: str
    shape: tuple[int, int, int]
    batch: int
    lr: float
    params: int
    first: int
    burst: int
    bursts: int
    epoch: int
    """Steps of an epoch; few where steps are long, so that each contender meets its end."""
    held_out: int
    """Images evaluated after each."""
    goal: float | None = None
    goal_epoch: int = 0
    goal_lr: float = 0.0
    longest: int = 0
    momentum: float = 0.9


SETUPS = {
    each.key: each
    for each in (
        Setup(
            name="LeNet-5 / MNIST",
            key="lenet5",
            model="lenet5",
            shape=(1, 28, 28),
            batch=64,
            lr=0.02,
            params=61_706,
            first=200,
            burst=200,
            bursts=5,
            epoch=920,
            held_out=1_000,
            goal=0.99,
            goal_epoch=920,
            goal_lr=0.02,
            longest=10,
        ),
        Setup(
            name="ResNet-20 / CIFAR-10",
            key="resnet20",
            model="resnet20",
            shape=(3, 32, 32),
            batch=128,
            lr=0.1,
            params=269_722,
            first=4,
            burst=6,
            bursts=4,
            epoch=24,
            held_out=128,
            goal=0.60,
            goal_epoch=187,
            goal_lr=0.1,
            longest=6,
        ),
        Setup(
            name="MobileNetV2 at 224",
            key="mobilenet_v2",
            model="mobilenet_v2",
            shape=(3, 224, 224),
            batch=16,
            lr=0.05,
            params=2_236_682,
            first=3,
            burst=2,
            bursts=4,
            epoch=6,
            held_out=8,
        ),
    )
}


@dataclass
class Clock:
    """Stops the loop between two bursts; `say` is where it tells what it took.

    With no bursts (`bursts` 0) it never stops: it tells of the first step and of evaluations.
    """

    first: int
    burst: int
    bursts: int
    say: TextIO
    last: int
    """Steps of the whole run."""
    done: int = 0
    step: int = 0
    before: int = 0
    wall: float = 0.0
    processor: float = 0.0
    begun: bool = False
    last_accuracy: float = 0.0

    def due(self, step: int) -> bool:
        """Whether `tick` would read the clock: work that runs behind must be waited for first."""
        if not self.begun:
            return True
        running = self.bursts and self.done <= self.bursts
        return bool(running and step >= self.first + self.done * self.burst)

    def tick(self, step: int) -> None:
        """Called when `step` steps are done: after each, or after several that are taken as one."""
        due, self.step = self.due(step), step
        if not due:
            return
        if not self.begun:
            self.begun = True
            self.tell(first_step=step)
            if not self.due(step):
                return
        if self.done:
            seconds, processor = time.perf_counter() - self.wall, time.process_time()
            steps = step - self.before
            self.tell(seconds=seconds, processor=processor - self.processor, steps=steps)
        else:
            self.tell(ready=True)
        self.done += 1
        self.before = step
        sys.stdin.readline()
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def evaluated(self, accuracy: float) -> None:
        self.last_accuracy = accuracy
        if not self.bursts:
            self.tell(accuracy=accuracy, step=self.step)

    def tell(self, **values: Any) -> None:
        print(json.dumps(values), file=self.say, flush=True)


@dataclass(frozen=True)
class Job:
    """What a contender is to do; `words` are its own, from the table of contenders."""

    setup: Setup
    feed: str
    seed: int
    lr: float
    epoch: int
    threads: int
    folder: Path
    clock: Clock
    words: tuple[str, ...] = ()

    @property
    def decays(self) -> bool:
        """Whether the rate falls to zero along half a cosine: where it is trained to a goal."""
        return not self.clock.bursts

    def rate(self, step: int) -> float:
        """The rate of step number `step`, counted from 0."""
        if not self.decays:
            return self.lr
        return self.lr * (1 + math.cos(math.pi * step / self.clock.last)) / 2


def read_arrays(setup: Setup, *, channels_last: bool = False) -> tuple[Pair, Pair]:
    """Training and validation: normalised float32 images, (N, C, H, W) or (N, H, W, C), and
    int64 labels."""
    folder = Path(os.environ["NETWRIGHT_BENCH_ARRAYS"])
    found = []
    for part in ("train", "val"):
        images = np.load(folder / f"{setup.key}-{part}-images.npy")
        if channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        found.append((images, np.load(folder / f"{setup.key}-{part}-labels.npy")))
    return found[0], found[1]


def shuffled(count: int, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Whole batches of indices without end, each epoch in another order."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(count)
        yield from order[: count // batch * batch].reshape(-1, batch)
