"""What is said at the door: settings and functions that a training cannot be run with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import DataError, SettingError
from netwright.core.unheard import unheard
from netwright.doctor.patient import tensors_in
from netwright.doctor.quiet import quiet
from netwright.doctor.trials.feed import Feed
from netwright.doctor.trials.judge import Judge
from netwright.doctor.trials.trial import MOST_JUDGED
from netwright.doctor.watch import named


def refuse_settings(scheduler: Any, clip: Any, metric: Any) -> None:
    """`SettingError` for what is no schedule, no bound, no measure."""
    if scheduler is not None and (
        isinstance(scheduler, type) or not callable(getattr(scheduler, "step", None))
    ):
        raise SettingError(
            "Healing takes a scheduler that was made for the optimizer, not {given}.",
            hint="Try: scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 10)",
            given=named(scheduler),
        )
    number = isinstance(clip, int | float) and not isinstance(clip, bool)
    if clip is not None and not (number and clip > 0):
        raise SettingError(
            "clip is the greatest norm of the gradient, above 0, not {value}.", value=repr(clip)
        )
    if metric is not None and (isinstance(metric, type) or not callable(metric)):
        raise SettingError(
            "Healing takes a metric that is a function of outputs and targets, not {given}.",
            given=named(metric),
        )


def refuse_loss(loss_fn: Callable[..., Any]) -> None:
    """`SettingError` for a loss of other arguments than output and target."""
    called = loss_fn.forward if isinstance(loss_fn, nn.Module) else loss_fn
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # a built-in that does not tell
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise SettingError(
            "The loss is called as loss_fn(output, target), and cannot be: {reason}.",
            hint="Give a function of these two: lambda output, target: ...",
            reason=str(error),
        ) from error


def place_of(output: Any, judged: Tensor | None) -> int:
    """Which of the tensors in an output is the one that the loss judges, the first if none is."""
    found = list(tensors_in(output))
    for place, each in enumerate(found):
        if judged is not None and each.shape == judged.shape and torch.equal(each, judged):
            return place
    return 0


def refuse_judging(model: nn.Module, loss_fn: Callable[..., Any], val: Feed, judge: Judge) -> None:
    """`DataError` where the model or the loss cannot take the data that judge, `SettingError` where
    the metric gives no number of them. A metric is given all samples: some refuse one class."""
    parts: list[tuple[Tensor, Tensor]] = []
    with quiet(model), torch.no_grad(), unheard():
        model.eval()
        for inputs, target in val.batches():
            try:
                output = model(inputs)
                loss_fn(output, target)
                parts.append(judge.reduced(output, target))
            except Exception as error:
                raise DataError(
                    "The training data can be trained on, and the validation data cannot be judged "
                    "by: {reason}",
                    reason=_reason(error),
                ) from error
            if judge.metric is None or sum(len(each) for _, each in parts) >= MOST_JUDGED:
                break
        if judge.metric is None:
            return
        try:
            judge.score(parts)
        except Exception as error:
            raise SettingError(
                "The metric gives no number: {reason}",
                hint="It is called as metric(outputs, targets), with tensors of all samples.",
                reason=_reason(error),
            ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
