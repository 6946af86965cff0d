"""The loop of every tutorial with something else in the place of what is done with a batch."""

from __future__ import annotations

from collections.abc import Callable

from setups import Parts, Training, validate
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

Batch = Callable[[Training, Tensor, Tensor, int], None]
"""Of the training, inputs, targets and the batch's number in the whole run."""


def by_batch(
    parts: Parts, batch: Batch, *, epoch: Callable[[Training, int], None] | None = None
) -> None:
    """`batch` in the place of clearing, forward, backward and step; `epoch` before each epoch."""

    def loop(training: Training) -> None:
        number = 0
        for turn in range(parts.epochs):
            if epoch is not None:
                epoch(training, turn)
            training.model.train()
            for x, y in training.train:
                batch(training, x, y, number)
                number += 1
                if training.schedule is not None and parts.schedule_every == "step":
                    training.schedule.step()
            if training.schedule is not None and parts.schedule_every == "epoch":
                training.schedule.step()
            validate(training)

    parts.loop = loop


def usual(training: Training, x: Tensor, y: Tensor, number: int) -> None:
    """What a batch is for in a healthy loop."""
    parts, optimizer = training.parts, training.optimizer
    optimizer.zero_grad()
    parts.loss(training.model(x), y).backward()
    if parts.clip is not None:
        clip_grad_norm_(training.model.parameters(), parts.clip)
    optimizer.step()


def before_the_step(parts: Parts, change: Callable[[Training], None]) -> None:
    """Something done to the gradients of each batch before the step, in the place of a clip."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        training.optimizer.zero_grad()
        parts.loss(training.model(x), y).backward()
        change(training)
        training.optimizer.step()

    by_batch(parts, batch)


def after_the_step(parts: Parts, change: Callable[[Training], None]) -> None:
    """Something done to the weights after each step."""

    def batch(training: Training, x: Tensor, y: Tensor, number: int) -> None:
        usual(training, x, y, number)
        change(training)

    by_batch(parts, batch)
