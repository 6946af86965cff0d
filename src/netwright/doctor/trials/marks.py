"""Where a run may be taken up again: at its beginning, and where it was best."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.doctor.trials.course import Course
from netwright.doctor.trials.race import BEST, CLEAR
from netwright.doctor.trials.trial import MOST_JUDGED, Trial
from netwright.records.facts.judged import Judged


@dataclass(frozen=True)
class Mark:
    """A place that a run can go back to."""

    step: int
    score: float
    course: Course


class Marks:
    """Where a run began, where it was best, and where it is."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.begin = self.best = Mark(trial.start, -math.inf, trial.begun)

    def judge(self) -> None:
        score = self.trial.judged().value
        if score > self.best.score:
            self.best = Mark(self.trial.step, score, self.trial.here)

    @property
    def judged(self) -> tuple[Judged, ...]:
        """What the marks of the run tell the doctor, who does not hear the judge. Nothing where it
        was the judge that failed, and not the training."""
        trial = self.trial
        told = [e.loss for e in trial.scores if math.isfinite(e.loss) and math.isfinite(e.value)]
        least = min(told, default=None)
        if least is None and (not trial.losses or math.isfinite(trial.losses[-1])):
            return ()
        return (
            Judged(step=trial.step, planned=trial.course.steps, least=least, ended=trial.ended),
        )

    @property
    def fallen(self) -> bool:
        """Whether the score is below the best one by more than the luck of samples."""
        trial = self.trial
        judge, samples = trial.course.judge, min(trial.course.val.samples, MOST_JUDGED)
        doubt = BEST * judge.doubt(self.best.score, samples)
        return self.best.score - trial.judged().value > doubt

    @property
    def learned(self) -> bool:
        """Whether the best mark is above the first one by more than the luck of samples; if not,
        there is nothing that a treatment should keep."""
        trial = self.trial
        judge, samples = trial.course.judge, min(trial.course.val.samples, MOST_JUDGED)
        first = trial.scores[0].value if trial.scores else self.best.score
        if not math.isfinite(first):
            return self.best.score > first
        return self.best.score - first > CLEAR * judge.doubt(first, samples)
