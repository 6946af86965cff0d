"""The learning-rate range test of a recipe: its own steps, with the rate raised."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.range_steps import check_range, climb
from netwright.optim.range_test import rates
from netwright.tasks.computing import reproducible
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.rate_range import FIRST, LAST, STEPS, RateRange, judged, told
from netwright.tasks.running import batch_words
from netwright.tasks.settings import Resolved, changed
from netwright.train.task import NonFiniteError


def range_of_recipe(
    resolved: Resolved,
    *,
    first: float = FIRST,
    last: float = LAST,
    steps: int = STEPS,
    listeners: Sequence[e.Listener] = (),
) -> RateRange:
    """Suggest `optim.lr` for what `resolved` describes, or refuse and say why.

    The steps are those of a training: the same start, the same keyed batches with their
    augmentation and noise, the same loss, clipping and optimizer; so the same seed gives the
    same answer. Of the recipe, `optim.lr`, the schedule and the length count for nothing, and
    what is frozen in the first step stays frozen: unfrozen on the way, it would make two curves of
    one.
    Nothing is written to the disk.

    Raises `SettingError` for an optimizer that searches its own step length, and whatever
    `prepare` raises.
    """
    check_range(first, last, steps)
    optim = resolved.recipe.optim.name
    if OPTIMIZERS.get(optim).facts.get("closure"):
        raise SettingError(
            "{optimizer} computes the loss several times a step and looks for the length of each "
            "step itself: a range test would tell nothing about it.",
            optimizer=f"optim={optim}",
        )
    events = e.Events(*listeners)
    with reproducible():
        prepared = prepare(changed(_as_it_begins(resolved), {"steps": steps}), events)
        _announce(prepared, events, first=first, last=last, steps=steps)
        tried = rates(first, last, steps)
        losses = _losses(prepared, events, tried)
    events.emit(e.RunEnded(step=len(losses), status="done", why=""))
    return judged(tried, losses, optimizer=optim)


def _as_it_begins(resolved: Resolved) -> Resolved:
    """The recipe with the stages that are frozen in its first step frozen for good."""
    if resolved.recipe.transfer.freeze in (0, "all"):
        return resolved
    note = e.Noted(
        word="NOTE",
        template="tested as the run begins, with its stages frozen: for the rate of what follows, "
        "test with transfer.freeze=0",
    )
    kept = {"freeze": "all", "unfreeze": "at-once", "rate_of_layers": 1.0}
    held = changed(resolved, {f"transfer.{name}": value for name, value in kept.items()})
    return dataclasses.replace(held, notes=(*held.notes, note))


def _losses(prepared: Prepared, events: e.Events, tried: Sequence[float]) -> list[float]:
    task = prepared.task
    base = float(task.optimizer.param_groups[0]["lr"])
    task.rate_factor = lambda step: tried[step] / base
    events.emit(e.RunStarted(task=task, step=0, steps=len(tried), steps_per_epoch=None))
    with contextlib.closing(task.feed(0)) as batches:  # type: ignore[type-var]

        def take_step(number: int, rate: float) -> float:
            batch = next(batches)
            try:
                loss = float(task.step(batch, number)["loss"])
            except NonFiniteError as error:
                loss = error.value  # of the loss or of the gradients: the curve ends here
            told(events, number + 1, loss, rate, batch)
            return loss

        return climb(take_step, tried)


def _announce(
    prepared: Prepared, events: e.Events, *, first: float, last: float, steps: int
) -> None:
    dataset, recipe = prepared.dataset, prepared.recipe
    sizes = " / ".join(f"{len(images)} {split}" for split, images in dataset.splits.items())
    events.emit(
        e.Noted(
            word="data",
            template="{layout}: {sizes}, {classes} classes      seed {seed}",
            values={
                "layout": dataset.layout,
                "sizes": sizes,
                "classes": len(dataset.classes),
                "seed": recipe.general.seed,
            },
        )
    )
    events.emit(
        e.Noted(
            word="plan",
            template="{model} with {params:,} parameters, {steps} steps of batch {batch}, "
            "{optim} lr from {first} to {last}; nothing is kept",
            values={
                "model": prepared.architecture.name,
                "params": sum(each.numel() for each in prepared.task.model.parameters()),
                "steps": steps,
                "batch": batch_words(prepared),
                "optim": recipe.optim.name,
                "first": f"{first:g}",
                "last": f"{last:g}",
            },
        )
    )
