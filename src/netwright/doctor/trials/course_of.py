"""The course of a training that was handed over in parts."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from netwright.core.errors import DataError, NetwrightError, SettingError
from netwright.core.unheard import unheard
from netwright.doctor.patient import noted, tensors_in
from netwright.doctor.quiet import RandomState, quiet
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.entry import (
    place_of,
    refuse_judging,
    refuse_loss,
    refuse_settings,
)
from netwright.doctor.trials.feed import Feed, feed_of
from netwright.doctor.trials.judge import Judge, judge_for, pulls_one_way
from netwright.doctor.watch import named

EXAMPLE = "Try: nw.heal(model, optimizer, nn.CrossEntropyLoss(), train, val, epochs=10)"

SAMPLES = 2000
"""Training samples whose targets are looked at to choose a judge."""


def course_of(*given: Any, **settings: Any) -> Course:
    """The course of what `as_given` takes, with copies of all that a training changes.
    `NoCourseError` where that cannot be copied."""
    return as_given(*given, **settings).copy()


def as_given(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    train_data: Any,
    val_data: Any,
    epochs: int,
    metric: Callable[[Tensor, Tensor], float] | None,
    *,
    scheduler: LRScheduler | None = None,
    scheduler_every: Literal["epoch", "step"] = "epoch",
    clip: float | None = None,
) -> Course:
    """The course of the objects themselves, for nobody to train. `SettingError` for what is no
    training, `DataError` for data that are none."""
    if not isinstance(model, nn.Module):
        raise SettingError(
            "Healing takes a model first, an instance of torch.nn.Module, not {given}.",
            hint=EXAMPLE,
            given=named(model),
        )
    if not isinstance(optimizer, Optimizer):
        raise SettingError(
            "Healing takes an optimizer second, an instance of torch.optim.Optimizer, not {given}.",
            hint=EXAMPLE,
            given=named(optimizer),
        )
    if not callable(loss_fn) or isinstance(loss_fn, type):
        raise SettingError(
            "Healing takes a loss third, a function of output and target, not {given}.",
            hint=EXAMPLE,
            given=named(loss_fn),
        )
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise SettingError("epochs is a whole number from 1 on, not {value}.", value=repr(epochs))
    if scheduler_every not in ("epoch", "step"):
        raise SettingError(
            'scheduler_every is "epoch" or "step", not {value}.', value=repr(scheduler_every)
        )
    refuse_settings(scheduler, clip, metric)
    refuse_loss(loss_fn)
    if any(isinstance(each, UninitializedParameter) for each in model.parameters()):
        raise SettingError(
            "The model has layers that have not seen their input yet, and so have no weights.",
            hint="Give it a batch before you make its optimizer: model(input)",
        )
    device = next((each.device for each in model.parameters()), None)
    if device is not None and device.type == "meta":
        raise SettingError(
            "The model is on the meta device, and so has no weights that could be trained."
        )
    state = RandomState()
    try:
        train = feed_of(train_data, device=device)
        if val_data is None:
            train, val = train.parted()
        else:
            val = feed_of(val_data, device=device, judging=True)
        judge, raised = _judge(model, loss_fn, train, metric)
        if raised is None:
            refuse_judging(model, _own(loss_fn), val, judge)
        return Course(
            model=model,
            optimizer=optimizer,
            loss=loss_fn,
            train=train,
            val=val,
            judge=judge,
            epochs=epochs,
            scheduler=scheduler,
            scheduler_every=scheduler_every,
            clip=clip,
            held_back=val_data is None,
            raised=raised,
        )
    finally:
        state.restore()


def _judge(
    model: nn.Module,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    train: Feed,
    metric: Callable[[Tensor, Tensor], float] | None,
) -> tuple[Judge, Exception | None]:
    """By the targets of some batches and by the name of the loss. What the model raises on the
    first batch is an error; what the loss raises may be healed, and comes back."""
    targets: list[Tensor] = []
    first: tuple[Tensor, Tensor] | None = None
    for inputs, target in train.batches():
        first = first or (inputs, target)
        targets.append(target)
        if sum(map(len, targets)) >= SAMPLES:
            break
    assert first is not None
    raised: Exception | None = None
    name, logits = "", False
    with quiet(model), torch.enable_grad(), unheard():
        try:
            whole = output = model(first[0])
        except Exception as error:  # of somebody's model
            raise untrainable(error) from error
    with quiet(model), torch.enable_grad(), unheard():
        try:
            sample = noted(model, _own(loss_fn), (first[0],), first[1])
        except NetwrightError:
            raise
        except Exception as error:  # of targets that the loss cannot take
            raised = error
        else:
            name = sample.loss_call.name if sample.loss_call is not None else ""
            heard = sample.output
            if heard is not None and not (
                isinstance(output, Tensor) and output.shape != heard.shape
            ):
                output = heard  # what is judged are the answers, whatever the loss makes of them
            logits = first[1].is_floating_point() and pulls_one_way(loss_fn, first[1])
    place = place_of(whole, output if isinstance(output, Tensor) else None)
    judged = output if isinstance(output, Tensor) else next(iter(tensors_in(whole)), None)
    if judged is None:
        raise SettingError(
            "The model gives {kind}, and no tensor that could be judged.", kind=type(whole).__name__
        )
    judge = judge_for(judged, targets, loss=name, logits=logits, metric=metric)
    return dataclasses.replace(judge, place=place), raised


def untrainable(error: Exception) -> NetwrightError:
    """What the first batch raised, where nothing that the doctor knows mends it."""
    if isinstance(error, NetwrightError):
        return error
    return DataError(
        "The first batch cannot be trained on: {error}",
        hint="model(input) and loss_fn(model(input), target) must work for a batch of train_data.",
        error=f"{type(error).__name__}: {error}".partition("\n")[0],
    )


def _own(loss_fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A copy of a loss that may keep a state, where it can be copied."""
    try:
        return copy.deepcopy(loss_fn)
    except Exception:  # somebody's class
        return loss_fn
