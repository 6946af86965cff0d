"""A step that was not finite, taken again: which layer it began in, and in which images.

A run whose loss or gradient is not finite leaves a bundle in `evidence/`: the step, its batch and
the checkpoint before it. Every step is a function of (checkpoint, step), so the steps between are
taken once more, and the last of them is looked at. Nothing in the run folder is changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright.core import events as e
from netwright.core.errors import CheckpointError, DataError, SettingError
from netwright.core.languages import Phrase
from netwright.data.batches import Batch
from netwright.records.run import Run, find_run
from netwright.records.seeds import seed_runs
from netwright.tasks.classification import Classification
from netwright.tasks.computing import reproducible
from netwright.tasks.first_nonfinite import FirstNonFinite, Origin
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.resuming import refuse_other_data
from netwright.tasks.running import environment_of, note, plan_of
from netwright.tasks.settings import read_config
from netwright.train.checkpoints import Checkpoint, read_checkpoint
from netwright.train.silent import SilentFolder, SilentSaves
from netwright.train.task import NonFiniteError
from netwright.train.trainer import Trainer

_BUNDLE = re.compile(r"nonfinite-step-(\d+)\.json", re.ASCII)
_LARGEST = 2**26


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What the step came to when it was taken again."""

    run: Path
    step: int
    """The steps that were taken before it."""
    checkpoint: int
    how: str | Phrase
    """"exact", or "approximate because ..."."""
    recorded: tuple[str, float]
    """What was not finite then, and its value."""
    recorded_step: int
    """The step it was in then; `step` is an earlier one where the way there was not finite."""
    met: tuple[str, float] | None
    """The same now; None where all is finite."""
    same_batch: bool
    epoch: int
    names: tuple[str, ...]
    """The images of the batch."""
    origin: Origin | None = None
    images: tuple[str, ...] = ()
    """Those of them that it began in."""
    weight: str = ""
    """A weight that was not finite before the step."""

    def to_json(self) -> dict[str, Any]:
        origin = self.origin
        return {
            "format": 1,
            "run": str(self.run),
            "step": self.step,
            "checkpoint": self.checkpoint,
            "how": str(self.how),
            "recorded_step": self.recorded_step,
            "recorded": {"what": self.recorded[0], "value": str(self.recorded[1])},
            "met": None if self.met is None else {"what": self.met[0], "value": str(self.met[1])},
            "batch": {"epoch": self.epoch, "same": self.same_batch, "names": list(self.names)},
            "weight": self.weight or None,
            "origin": None if origin is None else origin.to_json(),
            "images": list(self.images),
        }


def replay(
    spec: str, *, listeners: tuple[e.Listener, ...] = (), trust_code: bool = False
) -> Replayed:
    """Take the last step of the run `spec` again that was not finite.

    Raises `SettingError` where the run has no such step, `CheckpointError` where no checkpoint
    before it verifies, `DataError` where its data have changed.
    """
    run = find_run(spec)
    place, bundle = _bundle(run)
    step = bundle["step"]
    checkpoint = _before(run, step)
    events = e.Events(*listeners)
    prepared = prepare(
        read_config(str(run.path / "config.yaml")), events, recorded=run, trust_code=trust_code
    )
    refuse_other_data(run, prepared)
    task = prepared.task
    if step >= task.rhythm.steps:
        raise DataError("{path} is damaged.", path=str(place))
    speed = task.gradients.speed
    if speed.compile:  # a compiled network runs without the hooks that look into it
        task.gradients.set_speed(dataclasses.replace(speed, compile=False))
    trainer = Trainer(
        task,
        SilentFolder(run.path),
        SilentSaves(run.path / "ckpt"),
        plan=plan_of(prepared.recipe),
        events=e.Events(),
        environment=environment_of(prepared),
        settings=prepared.resolved.plain(),
    )
    with reproducible():
        if step > checkpoint.step:
            events.emit(
                note(
                    "NOTE",
                    "Taken again: steps {first} to {step}.",
                    first=checkpoint.step,
                    step=step,
                )
            )
        while True:
            how = trainer.restore(checkpoint)
            try:
                return _look(trainer, prepared, run, bundle, step, checkpoint.step, how)
            except NonFiniteError:  # on the way: that step is the one to look at
                step = trainer.progress.step


def _look(
    trainer: Trainer,
    prepared: Prepared,
    run: Run,
    bundle: _Bundle,
    step: int,
    begun: int,
    how: str | Phrase,
) -> Replayed:
    """Raises `NonFiniteError` where a step before `step` is not finite."""
    task = prepared.task
    met = None
    with contextlib.closing(_steps(trainer, task)) as steps:
        batch = next(each for each in steps if trainer.progress.step == step)
        weight = _bad_weight(task)
        watch = FirstNonFinite(task.model)
        with watch:
            try:
                met = _not_finite(task.step(batch, step))
            except NonFiniteError as error:
                met = (error.what, error.value)
    found = task.identify(batch)
    names = [str(each) for each in found["name"]]
    origin = None if met is None else watch.origin()
    return Replayed(
        run=run.path,
        step=step,
        checkpoint=begun,
        how=how,
        recorded=(str(bundle["what"]), float(bundle["value"])),
        recorded_step=int(bundle["step"]),
        met=met,
        same_batch=found["index"] == bundle["batch"].get("index"),
        epoch=int(found["epoch"]) + 1,  # batches count from 0
        names=tuple(names),
        origin=origin,
        images=tuple(names[i] for i in _bad_images(batch, origin)),
        weight=weight,
    )


def _steps(trainer: Trainer, task: Classification) -> Generator[Batch]:
    """The batch of each step from where the trainer stands. It is trained on before the next one
    comes, and the network evaluated where that was due: a schedule may have looked at it."""
    feed = task.feed(trainer.progress.step)
    try:
        for batch in feed:
            yield batch
            values = task.step(batch, trainer.progress.step)
            trainer.record(batch, values, seconds=(0.0, 0.0), whole=0.0)
            if trainer.evaluation_due:
                trainer.evaluate()
    finally:
        close = getattr(feed, "close", None)
        if close is not None:
            close()


def _not_finite(values: Mapping[str, Tensor | float]) -> tuple[str, float] | None:
    for name, value in values.items():
        if not math.isfinite(float(value)):
            return name, float(value)
    return None


def _bad_weight(task: Classification) -> str:
    for name, each in task.model.state_dict().items():
        if isinstance(each, Tensor) and each.is_floating_point() and not each.isfinite().all():
            return name
    return ""


def _bad_images(batch: Batch, origin: Origin | None) -> list[int]:
    """Where in the batch the images stand that it began in; none where it began in all."""
    bad = [i for i, each in enumerate(batch.images) if not torch.isfinite(each).all()]
    if bad or origin is None:
        return bad
    return list(origin.samples) if len(origin.samples) < len(batch.images) else []


_Bundle = Mapping[str, Any]


def _bundle(run: Run) -> tuple[Path, _Bundle]:
    """The last bundle that the run has left, checked: it may have been written by anybody."""
    folder = run.path / "evidence"
    found = []
    with contextlib.suppress(OSError):
        found = [name for name in os.listdir(folder) if _BUNDLE.fullmatch(name)]
    if not found and (seeds := seed_runs(run)):
        raise SettingError(
            "{run} holds a run for each seed: name one of them.",
            hint="Try: netwright doctor {seed} --replay",
            run=str(run.path),
            seed=str(seeds[0].run.path),
        )
    if not found:
        raise SettingError(
            "The run {run} has met no loss or gradient that is not finite: there is no step to "
            "replay.",
            hint="evidence/nonfinite-step-*.json would name it.",
            run=str(run.path),
        )
    path = folder / max(found, key=lambda name: int(_BUNDLE.fullmatch(name)[1]))  # type: ignore[index]
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:  # a fifo is waited for, for ever
            raise ValueError
        bundle = json.loads(path.read_bytes())
        if not isinstance(bundle["step"], int) or not isinstance(bundle["batch"], dict):
            raise ValueError
        float(bundle["value"])
        str(bundle["what"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError("{path} is damaged.", path=str(path)) from error
    return path, dict(bundle)


def _before(run: Run, step: int) -> Checkpoint:
    """The newest checkpoint at or before `step` that verifies; damaged ones stay where they are."""
    places = sorted((run.path / "ckpt").glob("step-*"), reverse=True)
    for place in places:
        number = place.name.removeprefix("step-")
        if number.isascii() and number.isdecimal() and int(number) <= step:
            with contextlib.suppress(CheckpointError):
                return read_checkpoint(place)
    raise CheckpointError(
        "No checkpoint of {run} at or before step {step} verifies: the step cannot be replayed.",
        run=str(run.path),
        step=step,
    )
