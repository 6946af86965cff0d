"""Several seeds trained as one stacked model, each in its own folder all the same."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.core import events as e
from netwright.core.errors import DivergedError, SettingError
from netwright.core.languages import Phrase
from netwright.tasks.classification import Classification
from netwright.tasks.computing import reproducible
from netwright.tasks.preparing import Prepared
from netwright.tasks.recipe import Recipe
from netwright.tasks.resuming import newest_checkpoint
from netwright.tasks.running import Course
from netwright.tasks.stack_trial import Choice, slow_step, try_both
from netwright.tasks.stacked import Stack, why_not
from netwright.train.checkpoints import Checkpoint, Checkpoints
from netwright.train.lockstep import fit_together
from netwright.train.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A seed that is ready to be trained: its folder is locked, its data and network are made."""

    folder: RunFolder
    prepared: Prepared
    events: e.Events
    resumed: bool


def refuse_or_choose(asked: str, first: Prepared, others: Sequence[Prepared], count: int) -> Choice:
    """Whether the seeds are stacked. `others` are a few of them, for a trial; called twice, at
    first without them, when the first seed alone may settle it.

    Raises `SettingError` when a stack is asked for and cannot be.
    """
    reason = why_not(first.task, count)
    if reason is None and first.recipe.run.tensorboard:
        reason = Phrase("TensorBoard looks at each network by itself")
    if reason is None and first.recipe.doctor.mode == "repair":
        reason = Phrase("doctor.mode=repair treats each run by itself")
    if reason is None and asked == "auto" and not others:
        with reproducible():
            if slow_step(first.task):
                reason = Phrase("its steps are long, and leave nothing to save")
    if reason is None:
        if not others:
            return Choice(stacked=True, why=Phrase("not tried yet"))
        with reproducible():
            tasks = [first.task, *(each.task for each in others)]
            found = try_both(tasks, same_loss=same_loss(first.recipe))
        if asked != "always" or found.stacked:
            return found
        if found.ratio is not None:  # slower here, and asked for all the same
            return Choice(stacked=True, why=Phrase("run.stack asks for it"), ratio=found.ratio)
        reason = found.why
    if asked == "always":
        raise SettingError(
            "run.stack: these seeds cannot be trained as one stack: {reason}.",
            hint="Set run.stack=auto to train them one by one.",
            reason=reason,
        )
    return Choice(stacked=False, why=reason)


def same_loss(recipe: Recipe) -> bool:
    """Whether the loss of one seed is that of all: not if it weighs each one's own counts."""
    return recipe.loss.options.get("class_weights") != "balanced"


def train_together(seeds: Sequence[Opened], medians: Medians) -> None:
    """Train all to their ends, in lockstep. What becomes of each stands in its folder.

    Raises what ends all of them (a signal, a full disk); a seed that diverges ends alone.
    """
    share, loss = 1 / len(seeds), same_loss(seeds[0].prepared.recipe)
    courses: list[Course] = []
    left: list[Course] = []
    try:
        with contextlib.ExitStack() as stack:
            exact = all(each.prepared.recipe.run.deterministic for each in seeds)
            stack.enter_context(reproducible(deterministic=exact))
            resumes = _common_checkpoints(seeds)
            for each in seeds:
                course = Course(each.folder, each.prepared, each.events, share=share)
                stack.enter_context(contextlib.closing(course.checkpoints))
                courses.append(course)
            left = list(courses)
            ends = fit_together(
                [course.trainer for course in courses],
                lambda tasks: Stack(_classifications(tasks), same_loss=loss),
                resumes=resumes,
                measured=medians.flush,
            )
            for course, end in zip(courses, ends, strict=True):
                if isinstance(end, DivergedError):
                    course.fail(end)
                    left.remove(course)
                else:
                    course.finish(end)
    except BaseException as error:
        for course in left:
            course.fail(error)
        raise
    for course in left:
        course.done()


class Medians:
    """What a stack of seeds announces, as one: the steps once, of every measurement the median."""

    def __init__(self, outer: e.Events) -> None:
        self._outer = outer
        self._step = -1
        self._begun = False
        self._told: set[str] = set()
        self._rows: list[e.Measured] = []

    def hear(self, event: e.Event) -> None:
        """Take in what one of the seeds announces."""
        if isinstance(event, e.Measured):
            self._rows.append(event)
        elif isinstance(event, e.StepEnded):
            if event.step > self._step:
                self._step = event.step
                self._outer.emit(event)
        elif isinstance(event, e.RunStarted):
            if not self._begun:
                self._begun = True
                self._outer.emit(event)
        elif isinstance(event, e.Noted):
            text = f"{event.template}{dict(event.values)}"
            if event.word in ("WARN", "STOP") and text not in self._told:
                self._told.add(text)
                self._outer.emit(event)

    def flush(self) -> None:
        """All of the group are measured."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        metrics = {
            name: statistics.median(known)
            for name in rows[0].metrics
            if (known := [v for row in rows if (v := row.metrics.get(name)) is not None])
        }
        self._outer.emit(e.Measured(step=rows[0].step, epoch=rows[0].epoch, metrics=metrics))


def _classifications(tasks: Sequence[Any]) -> list[Classification]:
    return [task for task in tasks if isinstance(task, Classification)]


def _common_checkpoints(seeds: Sequence[Opened]) -> list[Checkpoint | None]:
    """The newest checkpoints of one step that every seed has, so that all go on as one.

    They save at the same steps, but a kill comes between two of them. Where there is no such
    step each takes its own newest, and those behind catch up.
    """
    bound: int | None = None
    own: list[Checkpoint | None] = []
    while True:
        found = [_newest(each, bound) for each in seeds]
        own = own or found
        if any(each is None for each in found):
            return own
        steps: Mapping[int, None] = dict.fromkeys(each.step for each in found if each is not None)
        if len(steps) == 1:
            if bound is not None:
                _forget(seeds, bound)
            return found
        bound = min(steps)


def _newest(each: Opened, at_most: int | None) -> Checkpoint | None:
    if not each.resumed:
        return None
    if at_most is None:  # what is damaged is told, and none at all is an error
        return newest_checkpoint(each.folder, each.prepared, each.events)
    keep = each.prepared.recipe.run.keep
    with contextlib.closing(Checkpoints(each.folder.path / "ckpt", keep=keep)) as checkpoints:
        return checkpoints.newest(at_most=at_most)


def _forget(seeds: Sequence[Opened], step: int) -> None:
    for each in seeds:
        keep = each.prepared.recipe.run.keep
        with contextlib.closing(Checkpoints(each.folder.path / "ckpt", keep=keep)) as checkpoints:
            checkpoints.forget_after(step)
