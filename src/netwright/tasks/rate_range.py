"""What a learning-rate range test found, and the test of a model of the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core import events as e
from netwright.core.escaping import html_text
from netwright.core.languages import Phrase
from netwright.optim.range_steps import check_range, own_losses
from netwright.optim.range_test import rates, suggest
from netwright.report.drawing import Drawing
from netwright.report.rate_curve import rate_curve

FIRST, LAST, STEPS = 1e-6, 10.0, 100
"""From far too low to far too high for every optimizer of torch, 14 steps to a factor of ten."""


@dataclass(frozen=True, kw_only=True, repr=False)
class RateRange:
    """A learning-rate range test: its curve, and what was read from it."""

    suggestion: float | None
    """The rate to train with, None where the curve speaks for none."""
    reason: Phrase
    readings: Mapping[str, float]
    """The rate that each rule names: `steepest`, `middle` and `blow-up`."""
    rates: tuple[float, ...]
    """The rates that were tried; fewer than asked for where the loss blew up."""
    losses: tuple[float, ...]
    """The loss at each of them, of its batch before the step; the last may be NaN or infinite."""
    smoothed: tuple[float, ...]
    """The losses as the rules saw them."""
    optimizer: str
    """What the rate is for: another optimizer needs another."""

    @property
    def why(self) -> str:
        """The reason for the suggestion, or for there being none, in English."""
        return str(self.reason)

    def plot(self) -> Drawing:
        """The curve with what was read from it: an SVG that a notebook shows, and `.save(path)`."""
        return rate_curve(
            self.rates,
            self.losses,
            smoothed=self.smoothed,
            readings=self.readings,
            suggestion=self.suggestion,
            optimizer=self.optimizer,
            about=self.reason.localized(),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; a loss that is not finite is None."""
        return {
            "format": 1,
            "suggestion": self.suggestion,
            "why": self.why,
            "readings": dict(self.readings),
            "optimizer": self.optimizer,
            "rates": list(self.rates),
            "losses": [each if math.isfinite(each) else None for each in self.losses],
            "smoothed": list(self.smoothed),
        }

    def __repr__(self) -> str:
        return f"RateRange(suggestion={self.suggestion}, why={self.why!r})"

    def _repr_html_(self) -> str:
        told = html_text(self.reason.localized())
        return f"<figure>{self.plot()}<figcaption>{told}</figcaption></figure>"


def lr_range(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    *,
    optimizer: Optimizer | None = None,
    first: float = FIRST,
    last: float = LAST,
    steps: int = STEPS,
    listeners: Sequence[e.Listener] = (),
) -> RateRange:
    """Suggest a learning rate for a model, or refuse and say why (Smith 2017, section 3.3).

    Takes at most `steps` training steps while the rate rises from `first` to `last`, each time
    by the same factor; ends where the loss has blown up. Nothing of yours is changed, however
    it ends: weights, buffers, gradients, training mode, the optimizer and the random states are
    put back bit for bit.

    `loader`: anything that can be read again and again and gives pairs (inputs, target), such
    as a `DataLoader`; when it is exhausted it is read from the beginning. Inputs are a tensor,
    or a tuple or list (given to the model as several arguments), or a mapping (as keywords);
    all tensors are moved to the device of the model. `loss_fn(outputs, target)` gives one
    number. `optimizer`: its class, settings and groups are used, with a fresh state; groups of
    different rates keep their proportion, and the rate that is suggested is that of the highest.
    Without one the rate is for SGD with momentum 0.9. A model in evaluation mode is tested in
    training mode; if only parts of it are in evaluation mode, they stay so. `listeners` are
    called with a `StepEnded` for each step.

    Raises `SettingError` or `DataError` for what cannot be tested. A curve that speaks for no
    rate is no error: `suggestion` is then None, and `why` tells what to try.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 5)
    >>> batches = [(x, x @ torch.randn(5, 3))]
    >>> found = lr_range(nn.Linear(5, 3), batches, nn.functional.mse_loss)
    >>> 0.003 < found.suggestion < 0.03
    True
    """
    check_range(first, last, steps)
    events = e.Events(*listeners)
    tried = rates(first, last, steps)
    events.emit(e.RunStarted(task=None, step=0, steps=steps, steps_per_epoch=None))
    losses = own_losses(
        model,
        loader,
        loss_fn,
        tried,
        optimizer=optimizer,
        told=lambda step, loss, batch: told(events, step, loss, tried[step - 1], batch),
    )
    events.emit(e.RunEnded(step=len(losses), status="done", why=""))
    name = "SGD" if optimizer is None else type(optimizer).__name__
    return judged(tried, losses, optimizer=name)


def judged(tried: Sequence[float], losses: Sequence[float], *, optimizer: str) -> RateRange:
    """The losses of the first of the rates that were to be tried, and what they speak for."""
    found = suggest(tried[: len(losses)], losses)
    return RateRange(
        suggestion=found.rate,
        reason=found.why,
        readings=found.readings,
        rates=tuple(tried[: len(losses)]),
        losses=tuple(losses),
        smoothed=found.smoothed,
        optimizer=optimizer,
    )


def told(events: e.Events, step: int, loss: float, rate: float, batch: Any) -> None:
    """Announce a step of a range test."""
    events.emit(
        e.StepEnded(
            step=step,
            epoch=0,
            batch=batch,
            values={"loss": loss, "lr/g0": rate},
            data_seconds=0.0,
            step_seconds=0.0,
        )
    )
