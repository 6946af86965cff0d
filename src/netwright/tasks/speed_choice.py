"""How the steps of a run are computed: as its recipe says, the rest as measured here."""

from __future__ import annotations

from typing import Any

from netwright.core import events as e
from netwright.tasks.classification import Classification
from netwright.tasks.settings import Resolved, changed
from netwright.tasks.speed import asked, is_open, try_out

FEWEST_STEPS = 500  # in a shorter run a trial of some 30 steps is no small part of it


def with_speed(
    resolved: Resolved, task: Classification, events: e.Events, *, new: bool
) -> Resolved:
    """How steps are computed: as the recipe says, the rest measured at the start of a long run.

    What was found becomes a setting of the run, so that a resume and a repetition compute alike.
    """
    options = resolved.recipe.run
    task.set_speed(asked(options))
    if not new or not is_open(options) or task.update.closure:
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
    task.set_speed(asked(made.recipe.run))
    return made


def _measured(resolved: Resolved, task: Classification, events: e.Events) -> dict[str, Any]:
    """What a trial chose, by the names of the settings; nothing where it was not worth one."""
    options = resolved.recipe.run
    batch = next(iter(task.train.iterate(0, 1))).part(slice(0, resolved.recipe.general.batch))
    trial = try_out(
        options,
        task.model,
        batch.images,
        lambda logits: task.loss(logits, batch.target),
        steps=task.rhythm.steps * task.update.accumulate,
        device=task.device,
    )
    if not trial.ratios:
        return {}
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
    return {
        "run.channels_last": trial.speed.channels_last,
        "run.precision": "bf16" if trial.speed.bf16 else "float32",
        "run.compile": trial.speed.compile,
    }
