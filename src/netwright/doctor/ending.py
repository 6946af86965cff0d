"""How a healing ends: what is claimed, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netwright.core.languages import Phrase
from netwright.doctor.checking import checked, patient_of
from netwright.doctor.deadline import Deadline
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.healed import Attempt, Healed
from netwright.doctor.patching import patch_of
from netwright.doctor.patient import Source
from netwright.doctor.quiet import RandomState
from netwright.doctor.suspects import Suspect
from netwright.doctor.trials.course import Course, NoCourseError
from netwright.doctor.trials.marks import Mark
from netwright.doctor.trials.trial import Score, Trial


def ended(
    trial: Trial,
    *,
    begun: Course,
    best: Mark,
    untreated: float,
    replaced: float,
    table: Sequence[Attempt],
    first: Diagnosis,
    left: Diagnosis,
    cost: float,
    passes: float,
    suspects: Sequence[Suspect],
) -> Healed:
    """What came of a trial that is at its end. `begun` is the training as it was given, `untreated`
    the best score that it had come to, `replaced` that of a run that gave way to a treatment from
    its beginning, `best` where any run was best; `first` was found before anything was treated,
    `left` is found still."""
    score = trial.judged().value
    stopped = trial.course.ends is not None  # where it was best: nothing more is claimed
    beaten = untreated if math.isfinite(untreated) else begun.guessing
    better = score > beaten or (stopped and score == untreated)
    course, history = trial.course, tuple(trial.scores)
    if table and score < max(untreated, replaced):
        # What was done did no good in the end: back to where any run was best.
        course = best.course
        history = (*history, Score(best.step, best.score, math.nan))
    won = any(each.kept is not None for each in table)
    return Healed(
        model=course.model.eval(),
        repaired=won and better,
        table=tuple(table),
        diagnosis=first,
        left=left,
        history=history,
        cost=cost,
        passes=passes,
        untreated=untreated,
        judge=course.judge.kind,
        held_back=course.held_back,
        reason=_reason(trial, tried=bool(table), found=bool(first), won=won, better=better),
        suspects=tuple(suspects),
        patch=patch_of(begun, trial.begun, course) if won and better else "",
    )


def _reason(trial: Trial, *, tried: bool, found: bool, won: bool, better: bool) -> Phrase:
    if not tried and trial.error:
        return Phrase(
            "The training broke off at step {step}, and nothing that can be tried was found: "
            "{error}",
            step=trial.step,
            error=trial.error,
        )
    if not tried and not found and not math.isfinite(trial.judged().value):
        return Phrase("The score is not finite, so nothing can be said of this training")
    if not tried and not found:
        return Phrase("Nothing was found that does harm; the training ran as it is")
    if not tried:
        return Phrase("What was found has no treatment that can be tried; see its advice")
    if not won:
        return Phrase("No treatment was better than the training as it is by more than luck")
    if not better:
        return Phrase("What won its race did not stay better to the end, and was rolled back")
    return Phrase("Repaired: the treated training ended above the untreated one")


def advised(given: Course, error: NoCourseError, *, seconds: float) -> Healed:
    """The diagnosis of what cannot be copied; its findings hold advice."""
    limit, state = seconds, RandomState()
    try:
        patient = patient_of(
            given.model,
            given.loss,
            source_of(given, "train"),
            val=source_of(given, "val"),
            optimizers=(given.optimizer,),
            schedulers=() if given.scheduler is None else (given.scheduler,),
            epochs=given.epochs,
            deadline=Deadline(limit),
        )
        found = checked(patient, seconds=limit)
    finally:
        state.restore()
    return Healed(
        model=given.model,
        repaired=False,
        table=(),
        diagnosis=found,
        left=found,
        history=(),
        cost=0.0,
        passes=0.0,
        untreated=-math.inf,
        judge=given.judge.kind,
        held_back=given.held_back,
        reason=Phrase(error.template, **error.values),
    )


def source_of(course: Course, name: str) -> Source:
    """The data of a course, as a check-up reads them."""
    feed = course.train if name == "train" else course.val
    return Source(
        name=name,
        batches=lambda: feed.batches(),
        samples=feed.samples,
        batch=feed.batch * feed.unit,
        shuffled=feed.shuffle,
        rows=lambda: feed.fed(),
        dropped=feed.samples - min(feed.samples, feed.steps * feed.batch * feed.unit),
    )
