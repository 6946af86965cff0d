"""One training that runs, step by step, and can be judged and gone on with at any time."""

from __future__ import annotations

import copy
import dataclasses
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import LBFGS
from torch.optim.lr_scheduler import ReduceLROnPlateau

from netwright.core.unheard import unheard
from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.course import Course

MOST_JUDGED = 4000
"""Samples that a trial is judged by."""


@dataclass(frozen=True)
class Score:
    """`value` is the judge's, `loss` the mean of the trial's own loss on the same samples."""

    step: int
    value: float
    loss: float


class Trial:
    """A copy of a course under way.

    The same course with the same seed gives the same numbers, wherever the steps are interrupted:
    random states are those of the trial while it runs, and the caller's again in between. `begun`
    is the course at its beginning, `error` says what ended the trial before its time, `raised` is
    what was raised in it.

    With `again`, which makes the same course anew, it trains the course itself: the memory of a
    beginning is spent only where that is asked for.

    `pace` is how many of its steps are worth one of the training it is held against.
    """

    def __init__(
        self,
        course: Course,
        seed: int = 0,
        *,
        again: Callable[[], Course] | None = None,
        pace: float = 1.0,
    ) -> None:
        self._begun = course if again is None else None
        self._again = again
        self.start = self.step = course.done
        self.course = course.copy() if again is None else course
        self.seed, self.pace = seed, pace
        self.losses: list[float] = []
        self.scores: list[Score] = []
        self.error = ""
        self.raised: Exception | None = None
        self.gone = False
        self.trained_on = 0
        """Samples that were trained on, each time anew."""
        before = RandomState()
        _seed(seed)
        self._random = RandomState()
        before.restore()
        self.course.model.train()

    @property
    def begun(self) -> Course:
        if self._begun is None:
            assert self._again is not None
            self._begun = self._again()
        return self._begun

    @property
    def here(self) -> Course:
        """A copy of the course where it stands."""
        return dataclasses.replace(self.course.copy(), done=self.step)

    def let_go(self, other: Course) -> None:
        """Keep what it came to, and no model any more: that of another course, which is there in
        any case, stands in its place. It goes on no further."""
        self.judged()
        self.gone, self._begun = True, None
        self.course = dataclasses.replace(
            self.course, model=other.model, optimizer=other.optimizer, scheduler=other.scheduler,
            loss=other.loss,
        )  # fmt: skip

    def reach(self, step: int) -> int:
        """Its own step for this one of the training it is held against."""
        return self.start + round(self.pace * (step - self.start))

    @property
    def ended(self) -> bool:
        """Whether its plan is at its end, or an error ended it."""
        return bool(self.error) or self.step >= self.course.steps

    def go_on(
        self,
        steps: int,
        *,
        told: Callable[[int, float], None] | None = None,
        before: float = math.inf,
    ) -> None:
        """`steps` more steps, or fewer where the plan ends; none begins when `time.perf_counter()`
        says `before` or later. `told` hears the number and the loss of each. What the model or the
        loss raise ends the trial, and so does a loss that is not finite."""
        assert not self.gone
        state = RandomState()
        self._random.restore()
        try:
            with torch.enable_grad(), unheard():
                self._steps(min(self.step + steps, self.course.steps), told, before)
        except Exception as error:  # somebody's model under a change that does not suit it
            self.raised = error
            self.error = f"{type(error).__name__}: {error}".partition("\n")[0]
        finally:
            self._random = RandomState()
            state.restore()

    def _steps(self, until: int, told: Callable[[int, float], None] | None, before: float) -> None:
        course, feed = self.course, self.course.train
        course.model.train()
        while self.step < until and not self.error and time.perf_counter() < before:
            epoch, start = divmod(self.step, feed.steps)
            for inputs, target in feed.batches(self.seed, epoch, start=start):
                loss = self._one_step(inputs, target)
                self.step += 1
                self.trained_on += feed.batch * feed.unit
                self.losses.append(loss)
                if told is not None:
                    told(self.step, loss)
                if not math.isfinite(loss):
                    self.error = "the loss is not finite"
                if self.step >= until or self.error or time.perf_counter() >= before:
                    break
            if self.step % feed.steps == 0 and course.scheduler_every == "epoch":
                self._scheduler_steps()

    def _one_step(self, inputs: Tensor, target: Tensor) -> float:
        course = self.course
        optimizer = course.optimizer

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = course.loss(course.model(inputs), target)
            loss.backward()
            if course.clip is not None:
                nn.utils.clip_grad_norm_(course.trainable, course.clip)
            return loss

        if isinstance(optimizer, LBFGS):
            loss = optimizer.step(closure)
        else:
            loss = closure()
            optimizer.step()
        if course.scheduler_every == "step":
            self._scheduler_steps()
        return float(loss.detach()) if isinstance(loss, Tensor) else float(loss)

    def _scheduler_steps(self) -> None:
        scheduler, seen = self.course.scheduler, self.losses[-self.course.train.steps :]
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(sum(seen) / max(len(seen), 1))
        elif scheduler is not None:
            scheduler.step()

    def judged(self) -> Score:
        """The score where it stands, on at most 4,000 samples of the data that judge; minus
        infinity once it has ended in an error. Nothing of the training is changed by it."""
        if self.scores and self.scores[-1].step == self.step:
            return self.scores[-1]
        self.scores.append(self._judged())
        return self.scores[-1]

    def _judged(self) -> Score:
        course = self.course
        if self.error:
            return Score(self.step, -math.inf, math.inf)
        before, training = RandomState(), [each.training for each in course.model.modules()]
        parts, loss, samples = [], 0.0, 0
        course.model.eval()
        try:
            loss_fn = copy.deepcopy(course.loss)  # it may keep a state
            with torch.no_grad(), unheard():
                for inputs, target in course.val.batches():
                    output = course.model(inputs)
                    loss += float(loss_fn(output, target)) * len(target)
                    samples += len(target)
                    parts.append(course.judge.reduced(output, target))
                    if samples >= MOST_JUDGED:
                        break
            return Score(self.step, course.judge.score(parts), loss / max(samples, 1))
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}".partition("\n")[0]
            return Score(self.step, -math.inf, math.inf)
        finally:
            for each, mode in zip(course.model.modules(), training, strict=True):
                each.training = mode
            before.restore()


def _seed(seed: int) -> None:
    """Every generator that somebody's model or data may draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
