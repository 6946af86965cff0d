"""How the steps of a run are computed: as its recipe says, the rest as measured here."""

from __future__ import annotations

import math
from typing import Any

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.data.batches import Batch
from netwright.tasks.classification import Classification
from netwright.tasks.recipe import RunOptions
from netwright.tasks.settings import Resolved, changed
from netwright.tasks.speed import Speed, asked, cost_of_exactness, is_open, try_out

FEWEST_STEPS = 500  # in a shorter run a trial of some 30 steps is no small part of it


def with_speed(
    resolved: Resolved, task: Classification, events: e.Events, *, new: bool
) -> Resolved:
    """How steps are computed: as the recipe says, the rest measured at the start of a long run.

    What was found becomes a setting of the run, so that a resume and a repetition compute alike.
    """
    options = resolved.recipe.run
    refuse_precision(options, task)
    task.gradients.set_speed(asked(options))
    if not new or not is_open(options, task.device) or task.update.closure or task.to_be_cut:
        return resolved
    steps = task.rhythm.steps
    if steps < FEWEST_STEPS:
        return resolved
    if task.ranks.several:  # one measures for all: each would find another way
        found = task.ranks.told(_measured(resolved, task, events) if task.ranks.first else None)
    else:
        found = _measured(resolved, task, events)
    if not found:
        return resolved
    made = changed(resolved, found, origin="measured here")
    task.gradients.set_speed(asked(made.recipe.run))
    return made


def _measured(resolved: Resolved, task: Classification, events: e.Events) -> dict[str, Any]:
    """What a trial chose, by the names of the settings; nothing where it was not worth one."""
    options = resolved.recipe.run
    batch = next(iter(task.train.iterate(0, 1))).part(slice(0, resolved.recipe.general.batch))
    trial = try_out(
        options,
        task.model,
        batch.images,
        lambda logits: task.gradients.loss(logits, batch.target),
        steps=task.rhythm.steps * task.update.accumulate,
        device=task.device,
    )
    if not trial.ratios:
        return {}
    if task.device.type == "cuda" and options.deterministic:
        _tell_cost(task, trial.speed, batch, events)
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in trial.ratios.items())
    events.emit(
        e.Noted(
            word="NOTE",
            template="steps are computed in {speed}: in a trial of {seconds} s the time of a plain "
            "step became {ratios}",
            values={
                "speed": trial.speed.words(),
                "seconds": f"{trial.seconds:.1f}",
                "ratios": shown,
            },
        )
    )
    found: dict[str, Any] = {
        "run.channels_last": trial.speed.channels_last,
        "run.precision": trial.speed.precision,
        "run.compile": trial.speed.compile,
    }
    if task.device.type == "cuda":
        found["run.tf32"] = trial.speed.tf32
    return found


def refuse_precision(options: RunOptions, task: Classification) -> None:
    """`SettingError` for a precision that the device, or the optimizer, has no use for."""
    if options.precision == "fp16" and task.device.type == "cpu":
        raise SettingError(
            "run.precision=fp16 is for a GPU: a CPU computes it more slowly than float32.",
            hint="Use run.precision=bf16, or auto, which measures it; or device=cuda.",
        )
    if options.precision == "fp16" and task.update.closure:
        raise SettingError(
            "run.precision=fp16 scales the loss of a step, and this optimizer takes several.",
            hint="Use run.precision=bf16 or float32, or another optimizer.",
        )
    if options.tf32 is True and task.device.type == "cpu":
        raise SettingError(
            "run.tf32=true is for a GPU: a CPU has no such numbers.",
            hint="Leave it at auto; run.precision=bf16 is what a CPU may have.",
        )


def _tell_cost(task: Classification, speed: Speed, batch: Batch, events: e.Events) -> None:
    """Say what the same bits again cost on this GPU."""
    ratio = cost_of_exactness(
        speed,
        task.model,
        batch.images,
        lambda logits: task.gradients.loss(logits, batch.target),
        task.device,
    )
    if math.isfinite(ratio):
        events.emit(
            e.Noted(
                word="NOTE",
                template="the same bits again (run.deterministic) make a step take {ratio} of the "
                "time it takes without",
                values={"ratio": f"{ratio:.2f}"},
            )
        )
