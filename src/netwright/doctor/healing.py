"""`nw.heal`: what the doctor found is treated, in the order of the catalogue, and what measurably
helps is kept.

Each group of causes (data, output, wiring, start, rate, structure, generalisation) is treated at
its beginning: what is tried races against the training as it is, on copies. Then the doctor looks
anew. At last the treated training runs to its end.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from netwright.core.errors import NetwrightError, SettingError
from netwright.core.languages import Phrase
from netwright.doctor.checking import checked, patient_of
from netwright.doctor.deadline import Deadline
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.healed import Attempt, Healed
from netwright.doctor.patching import patch_of
from netwright.doctor.patient import Source
from netwright.doctor.quiet import RandomState
from netwright.doctor.suspects import suspects_of
from netwright.doctor.treatments import Plan, plans_for, treatable
from netwright.doctor.trials.apart import check_apart
from netwright.doctor.trials.course import Course, NoCourseError
from netwright.doctor.trials.course_of import as_given
from netwright.doctor.trials.race import BEST, CLEAR, Candidate, Purse, Race, race
from netwright.doctor.trials.trial import MOST_JUDGED, Score, Trial
from netwright.doctor.watch import Doctor
from netwright.records.findings import GROUPS, Finding

ROUNDS = 6
"""How often something is treated and looked at anew, at most."""

CANDIDATES = 6
"""How many changes race at a time, at most."""

CHECKUP = 10.0

SHORTEST, LONGEST = 20, 50
"""Steps that a race begins with: 3 % of the training, within these."""

LOOKS, CLOSEST = 100, 6
"""Close looks at the whole training, and steps between two of them at the least."""

LATE = ("rate", "generalisation")
"""Groups that may be treated where the run was best; the others are treated at the beginning."""

BY_SCORE = ("overfitting",)
"""Conditions of the loss that are treated once the score falls: while it does not, there is nothing
by which a race could tell."""

MARKS = 20
"""How often the last run is judged on its way."""


def heal(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    train_data: Any,
    val_data: Any = None,
    epochs: int = 10,
    metric: Callable[[Tensor, Tensor], float] | None = None,
    *,
    scheduler: LRScheduler | None = None,
    scheduler_every: Literal["epoch", "step"] = "epoch",
    clip: float | None = None,
    budget: float = 1.0,
    seconds: float = math.inf,
) -> Healed:
    """Find what is wrong with a training, try what may mend it, and train with what helps.

    The training is `loss_fn(model(input), target)` for the batches (input, target) of
    `train_data`: a DataLoader, a data set, a pair of tensors, or a list of batches. `val_data`
    judge; without any a fifth of the training data is held back and does. `metric(outputs,
    targets)` is a number, the higher the better; without one it is the accuracy (balanced, where
    classes are very uneven) or the share of the variance explained. `scheduler` steps once an epoch
    or with every step, `clip` is the greatest norm of the gradient, where your loop has these.
    Trials take at most `budget` times the steps of the whole training, and everything at most about
    `seconds`.

    Model, optimizer, data and random states stay as they are: the healed model is another one.

    Raises `SettingError` or `DataError` for what cannot be a training. One that cannot be copied
    is diagnosed all the same, and `Healed.reason` says why nothing was tried.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(256, 8)
    >>> y = (x[:, 0] * x[:, 1] > 0).long()
    >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    >>> healed = heal(model, optimizer, nn.CrossEntropyLoss(), (x, y), (x, y), epochs=60)
    >>> healed.repaired, healed.kept[0].names
    (True, ('higher-rate',))
    """
    given = as_given(
        model, optimizer, loss_fn, train_data, val_data, epochs, metric,
        scheduler=scheduler, scheduler_every=scheduler_every, clip=clip,
    )  # fmt: skip
    _refuse(budget, seconds)
    try:
        course = given.copy()
        if given.raised is None:
            check_apart(course, given)
    except NoCourseError as error:
        return _advised(given, error, seconds=seconds)
    return Healing(course, budget=budget, seconds=seconds).run()


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


class Healing:
    """The healing of one course."""

    def __init__(self, course: Course, *, budget: float = 1.0, seconds: float = math.inf) -> None:
        self._original = course
        self._seconds, self._began = seconds, time.perf_counter()
        self._purse = Purse(steps=round(budget * course.steps), seconds=0.6 * seconds)
        self._length = min(course.steps, max(SHORTEST, min(LONGEST, round(0.03 * course.steps))))
        self._table: list[Attempt] = []
        self._tried: set[tuple[str, tuple[str, ...]]] = set()
        self._first: Diagnosis | None = None
        self._untreated = self._best = Mark(0, -math.inf, course)
        self._stepping = 0.0
        self._steps = 0

    def run(self) -> Healed:
        """One run after the other, each from where the last one was treated, until one comes to
        its end."""
        trial = Trial(self._original)
        for number in range(ROUNDS + 1):
            treated, found = self._until_treated(trial, may=number < ROUNDS)
            if treated is None and self._original.raised is not None and not self._table:
                raise self._original.raised
            if treated is None:
                return self._healed(trial, found)
            trial = treated
        raise AssertionError("the last run is not treated")

    def _until_treated(self, trial: Trial, *, may: bool) -> tuple[Trial | None, Diagnosis]:
        """The trial to go on with in the place of this one, None when this one has ended; and
        what was found last. Some faults are seen only once the plan is at its end."""
        marks = Marks(trial)
        with self._watched(trial) as doctor:
            found = self._asked(doctor)
            while not trial.ended:
                self._go_on(trial, self._apart(trial))
                if trial.raised is not None:
                    doctor.crashed(trial.raised)
                marks.judge()
                if not self._table:
                    self._untreated = marks.best
                self._best = max(self._best, marks.best, key=lambda each: each.score)
                found = self._asked(doctor)
                treated = self._treated(marks, found) if may else None
                if treated is not None:
                    return treated, found
        found = self._asked(doctor)
        return (self._treated(marks, found) if may else None), found

    def _apart(self, trial: Trial) -> int:
        """Steps to the next mark. The last stretch is no sliver: what fell in it is held against
        what fell in others."""
        if trial.step == trial.start:
            return self._length
        apart, left = (
            max(self._length, trial.course.steps // MARKS),
            trial.course.steps - trial.step,
        )
        return left if left < 1.5 * apart else apart

    def _go_on(self, trial: Trial, steps: int) -> None:
        began, before = time.perf_counter(), trial.step
        trial.go_on(steps)
        self._stepping += time.perf_counter() - began
        self._steps += trial.step - before

    # Looking

    def _asked(self, doctor: Doctor) -> Diagnosis:
        found = doctor.diagnosis()
        self._first = found if self._first is None or not self._table else self._first
        return found

    def _watched(self, trial: Trial) -> Doctor:
        """A doctor who knows the data and the plan; the check-up is for beginnings."""
        course = trial.course
        remain = self._seconds - (time.perf_counter() - self._began)
        seconds = min(CHECKUP, max(0.5, 0.2 * remain))
        doctor = Doctor(
            course.model,
            [course.optimizer],
            checkup=False if trial.start else seconds,
            # By the clock it would be another diagnosis each time.
            every=max(CLOSEST, self._original.steps // LOOKS),
            on_round=lambda doctor, found: None,  # a function says what it found when it returns
        )
        patient = doctor.patient
        left = course.steps - trial.start
        patient.setup = dataclasses.replace(
            patient.setup, epochs=math.ceil(left / course.train.steps), planned_steps=left
        )
        patient.given = () if course.scheduler is None else (course.scheduler,)
        patient.train, patient.val = _source(course, "train"), _source(course, "val")
        patient.setup = dataclasses.replace(patient.setup, steps_per_epoch=course.train.steps)
        return doctor

    # Treating

    def _next(self, marks: Marks, diagnosis: Diagnosis) -> list[Finding]:
        """The causes to be treated next: those of the first group that has any with a plan, less
        what has been tried. What yields to a cause that has no plan is not held back by it."""
        alarms = [
            each
            for each in diagnosis.at_least("warn")
            if not each.points
            and (each.name, each.layers) not in self._tried
            and (each.name not in BY_SCORE or marks.fallen)
            and treatable(marks.begin.course, each)
        ]
        names = {each.name for each in alarms}
        roots = [each for each in alarms if names.isdisjoint(each.yields_to)] or alarms
        for group in GROUPS:
            found = [each for each in roots if each.group == group]
            if found:
                return found
        return []

    def _treated(self, marks: Marks, diagnosis: Diagnosis) -> Trial | None:
        """The trial that goes on with what helped; None where nothing is to be done, or did."""
        findings = self._next(marks, diagnosis)
        if not findings or self._purse.empty:
            return None
        late = findings[0].group in LATE
        base = marks.best if late and marks.learned else marks.begin
        candidates = list(self._candidates(base.course, findings))
        self._tried |= {(each.name, each.layers) for each in findings}
        if not candidates:
            return None
        run = marks.trial
        fresh = base is marks.begin and run.step <= run.start + self._length
        control = run if fresh else Trial(base.course)
        ended = race(control, candidates, self._purse, steps=self._length)
        carried = None
        if ended.winner is None and not late and base.step == 0 and _harmless(ended, 1):
            carried = ended.rows[1]
        self._table.append(
            Attempt(
                findings=tuple(dict.fromkeys(each.name for each in findings)),
                group=findings[0].group,
                step=base.step,
                rows=ended.rows,
                carried=carried,
            )
        )
        if ended.winner is not None:
            # What helped may have to be done once more: a tenth of the rate can be too much still.
            self._tried -= {(each.name, each.layers) for each in findings}
            return ended.trial if base.step else Trial(ended.winner.course)
        return Trial(candidates[0].course) if carried is not None else None

    def _candidates(self, course: Course, findings: Sequence[Finding]) -> Iterator[Candidate]:
        """All first plans together, then each other plan in the place of the first of its kind,
        then each cause alone."""
        plans = [found for each in findings if (found := list(plans_for(course, each)))]
        if not plans:
            return
        first = [each[0] for each in plans]
        chosen: list[list[tuple[str, Plan]]] = [first]
        for depth in range(1, max(map(len, plans))):
            for place, each in enumerate(plans):
                if depth < len(each):
                    chosen.append([*first[:place], each[depth], *first[place + 1 :]])
        if len(first) > 1:
            chosen += [[each] for each in first]
        for some in chosen[:CANDIDATES]:
            made, state = course.copy(), RandomState()
            torch.manual_seed(0)
            try:
                for _, plan in some:
                    plan.apply(made)
            except (NetwrightError, RuntimeError, ValueError, TypeError):
                continue  # it does not suit this network
            finally:
                state.restore()
            yield Candidate(
                names=tuple(name for name, _ in some),
                says=_joined([plan.says for _, plan in some]),
                course=made,
            )

    # The end

    def _healed(self, trial: Trial, left: Diagnosis) -> Healed:
        assert self._first is not None
        untreated, score = self._untreated.score, trial.judged().value
        stopped = trial.course.ends is not None  # where it was best: nothing more is claimed
        beaten = untreated if math.isfinite(untreated) else self._original.guessing
        better = score > beaten or (stopped and score == untreated)
        course, history = trial.course, tuple(trial.scores)
        if self._table and score < untreated:
            # What was done did no good in the end: back to where any run was best.
            course = self._best.course
            history = (*history, Score(self._best.step, self._best.score, math.nan))
        won = any(each.kept is not None for each in self._table)
        plain = self._stepping / max(self._steps, 1) * self._original.steps
        return Healed(
            model=course.model.eval(),
            repaired=won and better,
            table=tuple(self._table),
            diagnosis=self._first,
            left=left,
            history=history,
            cost=(time.perf_counter() - self._began) / max(plain, 1e-9),
            untreated=untreated,
            judge=course.judge.kind,
            held_back=course.held_back,
            reason=self._reason(trial, won=won, better=better),
            suspects=suspects_of(self._original, (self._first, left)),
            patch=patch_of(self._original, trial.begun, course) if won and better else "",
        )

    def _reason(self, trial: Trial, *, won: bool, better: bool) -> Phrase:
        if not self._table and trial.error:
            return Phrase(
                "The training broke off at step {step}, and nothing that can be tried was found: "
                "{error}",
                step=trial.step,
                error=trial.error,
            )
        if not self._table and not self._first and not math.isfinite(trial.judged().value):
            return Phrase("The score is not finite, so nothing can be said of this training")
        if not self._table and not self._first:
            return Phrase("Nothing was found that does harm; the training ran as it is")
        if not self._table:
            return Phrase("What was found has no treatment that can be tried; see its advice")
        if not won:
            return Phrase("No treatment was better than the training as it is by more than luck")
        if not better:
            return Phrase("What won its race did not stay better to the end, and was rolled back")
        return Phrase("Repaired: the treated training ended above the untreated one")


def _refuse(budget: object, seconds: object) -> None:
    for name, value in (("budget", budget), ("seconds", seconds)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise SettingError("{name} is a number above 0, not {value}.", name=name,
                               value=repr(value))  # fmt: skip


def _advised(given: Course, error: NoCourseError, *, seconds: float) -> Healed:
    """The diagnosis of what cannot be copied; its findings hold advice."""
    limit, state = min(CHECKUP, seconds), RandomState()
    try:
        patient = patient_of(
            given.model,
            given.loss,
            _source(given, "train"),
            val=_source(given, "val"),
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
        untreated=-math.inf,
        judge=given.judge.kind,
        held_back=given.held_back,
        reason=Phrase(error.template, **error.values),
    )


def _harmless(ended: Race, place: int) -> bool:
    """Whether a candidate is no worse than the control by more than the spread."""
    control, row = ended.rows[0], ended.rows[place]
    if row.error or not math.isfinite(row.score):
        return False
    if not math.isfinite(control.score):
        return True
    return row.score >= control.score - max(row.spread, control.spread)


def _source(course: Course, name: str) -> Source:
    feed = course.train if name == "train" else course.val
    return Source(
        name=name,
        batches=lambda: feed.batches(),
        samples=feed.samples,
        batch=feed.batch * feed.unit,
        shuffled=feed.shuffle,
    )


def _joined(parts: Sequence[Phrase]) -> Phrase:
    found = parts[0]
    for each in parts[1:]:
        found = Phrase("{first}; {second}", first=found, second=each)
    return found
