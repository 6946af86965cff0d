"""The plain loop with something done between its steps or its epochs."""

from __future__ import annotations

from collections.abc import Callable

from setups import Parts, Training, validate
from torch import nn
from torch.nn.utils import clip_grad_norm_

Done = Callable[[nn.Module], object]


def between(parts: Parts, *, steps: Done | None = None, epochs: Done | None = None) -> None:
    """`steps` after each step of the optimizer, `epochs` after each epoch, ahead of validation."""

    def loop(training: Training) -> None:
        model, optimizer, schedule = training.model, training.optimizer, training.schedule
        for _ in range(parts.epochs):
            model.train()
            for x, y in training.train:
                optimizer.zero_grad()
                loss = parts.loss(model(x), y)
                loss.backward()
                if parts.clip is not None:
                    clip_grad_norm_(model.parameters(), parts.clip)
                optimizer.step()
                if steps is not None:
                    steps(model)
                if schedule is not None and parts.schedule_every == "step":
                    schedule.step()
            if schedule is not None and parts.schedule_every == "epoch":
                schedule.step()
            if epochs is not None:
                epochs(model)
            validate(training)

    parts.loop = loop
