"""The loop of every tutorial with one of its lines another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from setups import Parts, Training, validate
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

Step = Callable[[Training, Tensor, Tensor], object]


def a_step(training: Training, x: Tensor, y: Tensor) -> Tensor:
    """Clear, forward, backward, step; what comes back is the loss."""
    parts, model, optimizer = training.parts, training.model, training.optimizer
    if parts.augment is not None:
        x = parts.augment(x)
    optimizer.zero_grad()
    loss = parts.loss(model(x), y)
    loss.backward()
    if parts.clip is not None:
        clip_grad_norm_(model.parameters(), parts.clip)
    optimizer.step()
    return loss


def looped(
    parts: Parts,
    step: Step = a_step,
    *,
    begin: Callable[[Training, int], object] = lambda training, _: training.model.train(),
    end: Callable[[Training], object] = validate,
) -> None:
    """`step` for each batch, `begin` before each epoch (with its number) and `end` after it."""

    def loop(training: Training) -> None:
        schedule = training.schedule
        for epoch in range(parts.epochs):
            begin(training, epoch)
            for x, y in training.train:
                step(training, x, y)
                if schedule is not None and parts.schedule_every == "step":
                    schedule.step()
            if schedule is not None and parts.schedule_every == "epoch":
                schedule.step()
            end(training)

    parts.loop = loop


class Feed:
    """Batches made by a function, anew for each epoch."""

    def __init__(self, batches: Callable[[], Iterable[Any]], length: int) -> None:
        self.batches, self.length = batches, length

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches())

    def __len__(self) -> int:
        return self.length


def fed(parts: Parts, batches: Callable[[Any], Iterable[Any]]) -> None:
    """Training batches that `batches` makes of the loader that was there."""

    def wired(training: Training) -> None:
        loader = training.train
        training.train = Feed(lambda: batches(loader), len(loader))

    parts.wired = wired
