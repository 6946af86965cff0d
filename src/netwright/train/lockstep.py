"""Several runs in lockstep: each trainer keeps its own folder, one stepper takes their steps.

A trainer alone asks its task for each step. Here the steps of several tasks are taken together,
by something that can do that faster; what a run remembers, measures and saves stays with its
own trainer. The trainers that stand at the same step form a group; one that has fallen behind
(its checkpoint was older) goes ahead of the others until it has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from netwright.core.errors import DivergedError, NetwrightError
from netwright.train.checkpoints import Checkpoint
from netwright.train.signals import SignalFlag
from netwright.train.task import NonFiniteError, Task
from netwright.train.trainer import Outcome, Trainer

Told: TypeAlias = Mapping[str, float]


class Stepper(Protocol):
    """Takes one step of a group of tasks."""

    def take(self, batches: Sequence[Any], step: int) -> list[Told | NonFiniteError]:
        """What each task tells of its step. A task whose numbers are not finite gives the error,
        its weights stay as they were, and it is no longer part of the group."""

    def publish(self) -> None:
        """Let each task know its own state: it is about to be saved or evaluated."""


def fit_together(
    trainers: Sequence[Trainer],
    stepper: Callable[[Sequence[Task]], Stepper],
    *,
    resumes: Sequence[Checkpoint | None],
    measured: Callable[[], None] = lambda: None,
) -> list[Outcome | DivergedError]:
    """Train all to their ends; what came of each, in their order.

    `stepper(tasks)` makes what takes the steps of a group; it is asked again whenever the group
    changes. All save at the same steps, so that after a kill there is a step that all have.
    `measured` is called after each round of evaluations. Raises what `Trainer.fit` raises, but
    a run that diverges only leaves the group: its error is what came of it.
    """
    lockstep = _Lockstep(trainers, stepper, measured)
    with SignalFlag() as signals:
        for trainer, resume in zip(trainers, resumes, strict=True):
            with trainer.explained():
                trainer.begin(resume)
        try:
            while lockstep.active:
                lockstep.advance(signals)
        finally:
            lockstep.close()
    return [lockstep.ended[id(trainer)] for trainer in trainers]


class _Lockstep:
    def __init__(
        self,
        trainers: Sequence[Trainer],
        stepper: Callable[[Sequence[Task]], Stepper],
        measured: Callable[[], None],
    ) -> None:
        self.active = list(trainers)
        self.ended: dict[int, Outcome | DivergedError] = {}
        self._make = stepper
        self._measured = measured
        self._stepper: Stepper | None = None
        self._group: list[Trainer] = []
        self._feeds: dict[int, Iterator[Any]] = {}
        self._clock = time.perf_counter()

    def advance(self, signals: SignalFlag) -> None:
        """One step of the group that is furthest behind, and what is due after it."""
        self._leave_finished()
        if not self.active:
            return
        self._gather()
        group, stepper = self._group, self._stepper
        assert stepper is not None
        step = group[0].progress.step
        started = time.perf_counter()
        batches = [next(self._feed(trainer)) for trainer in group]
        fed = time.perf_counter()
        with group[0].explained():
            told = stepper.take(batches, step)
        ended = time.perf_counter()
        share = 1 / len(group)
        seconds = (share * (fed - started), share * (ended - fed))
        whole, self._clock = share * (ended - self._clock), ended
        for trainer, batch, values in zip(group, batches, told, strict=True):
            if isinstance(values, NonFiniteError):
                self._diverge(trainer, values, batch)
            else:
                trainer.record(batch, values, seconds=seconds, whole=whole)
        self._boundary(signals)

    def close(self) -> None:
        """End the feeds, and leave each task with its own state."""
        if self._stepper is not None:
            self._stepper.publish()
        for feed in self._feeds.values():
            close = getattr(feed, "close", None)
            if close is not None:
                close()

    def _gather(self) -> None:
        """The trainers at the smallest step, and a stepper for just those."""
        first = min(trainer.progress.step for trainer in self.active)
        group = [trainer for trainer in self.active if trainer.progress.step == first]
        if group != self._group or self._stepper is None:
            if self._stepper is not None:
                self._stepper.publish()
            self._group, self._stepper = group, self._make([trainer.task for trainer in group])

    def _feed(self, trainer: Trainer) -> Iterator[Any]:
        if id(trainer) not in self._feeds:
            self._feeds[id(trainer)] = trainer.task.feed(trainer.progress.step)
        return self._feeds[id(trainer)]

    def _boundary(self, signals: SignalFlag) -> None:
        """What is due between two steps, for all of the group at once."""
        group = [each for each in self._group if id(each) not in self.ended]
        if not group or self._stepper is None:
            return
        evaluating = any(each.evaluation_due for each in group)
        saving = any(each.save_due for each in group)
        if not (evaluating or saving or signals.pending):
            return
        self._stepper.publish()
        best = {id(each): each.evaluate() if each.evaluation_due else False for each in group}
        if evaluating:
            self._measured()
        for each in group:
            if each.obey_requests():  # back at an earlier step: its feed starts there
                self._feeds.pop(id(each), None)
                self._stepper = None
        if saving or any(best.values()):
            for each in group:
                each.save(best=best[id(each)])
        if signals.pending is not None and not all(each.finished for each in self.active):
            self._interrupt(signals.pending)
        self._clock = time.perf_counter()

    def _interrupt(self, number: int) -> None:
        """Every run saves before the first of them says that it was stopped."""
        stopped: list[NetwrightError] = []
        for each in self.active:
            try:
                each.interrupt(number)
            except NetwrightError as error:
                stopped.append(error)
        raise stopped[0]

    def _diverge(self, trainer: Trainer, error: NonFiniteError, batch: Any) -> None:
        trainer.keep_bundle(error, batch)
        self.ended[id(trainer)] = _as_diverged(trainer, error)
        self.active.remove(trainer)

    def _leave_finished(self) -> None:
        for trainer in [each for each in self.active if each.finished]:
            if self._stepper is not None:
                self._stepper.publish()
            with trainer.explained():
                self.ended[id(trainer)] = trainer.end()
            self.active.remove(trainer)


def _as_diverged(trainer: Trainer, error: NonFiniteError) -> DivergedError:
    told = trainer.diverged(error)
    assert isinstance(told, DivergedError)
    told.__cause__ = error
    return told
