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
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from netwright.core.errors import SettingError
from netwright.doctor.candidates import candidates_for
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.ending import advised, ended, source_of
from netwright.doctor.healed import Attempt, Healed
from netwright.doctor.patient import Source
from netwright.doctor.suspects import suspects_of
from netwright.doctor.treatments import treatable
from netwright.doctor.trials.apart import check_apart
from netwright.doctor.trials.course import Course, NoCourseError
from netwright.doctor.trials.course_of import as_given, untrainable
from netwright.doctor.trials.feed import Feed
from netwright.doctor.trials.marks import Mark, Marks
from netwright.doctor.trials.plain import Plain
from netwright.doctor.trials.purse import Purse
from netwright.doctor.trials.race import BEST, Race, race
from netwright.doctor.trials.trial import MOST_JUDGED, Trial
from netwright.doctor.watch import Doctor
from netwright.records.facts.reference import Reference
from netwright.records.findings import GROUPS, Finding

ROUNDS = 6
"""How often something is treated and looked at anew, at most."""

CHECKUP = 10.0
"""Seconds of a check-up, at most."""

TIMED = 0.02
"""Of the time there is: for timing some steps."""

SHORTEST, LONGEST = 20, 50
"""Steps that a race begins with: 3 % of the training, within these."""

LOOKS, CLOSEST = 50, 6
"""Close looks at the whole training, and steps between two of them at the least."""

ASKED = 1.3
"""The conditions are asked once a run is this many times as long as when they were asked last."""

LATE = ("rate", "generalisation")
"""Groups that may be treated where the run was best; the others are treated at the beginning."""

BY_SCORE = ("overfitting",)
"""Conditions of the loss that are treated once the score falls: while it does not, there is nothing
by which a race could tell."""

ALONE = ("behind-a-plain-network",)
"""Conditions that name no cause. What cured nothing of them is not carried on; and they are paid
for from a purse of their own, for causes with a name come first and may have spent the other."""

SET_ASIDE = 0.5
"""What that purse holds, of the other."""

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
    Trials take at most `budget` times the steps of the whole training, and half as many again where
    no cause with a name is left and the training is behind a plain network. Check-ups and trials
    end so early that all is done in about `seconds`, where the training itself leaves them a fifth
    of that at least; the last run is never cut short.

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
        return advised(given, error, seconds=min(CHECKUP, seconds))
    return Healing(course, budget=budget, seconds=seconds).run()


class Healing:
    """The healing of one course."""

    def __init__(self, course: Course, *, budget: float = 1.0, seconds: float = math.inf) -> None:
        self._original = course
        self._seconds, self._began = seconds, time.perf_counter()
        self._plain = Plain(course)
        self._plain.measure(seconds=TIMED * seconds)
        limit = _for_trials(seconds, self._plain.seconds or 0.0)
        self._purse = Purse(steps=round(budget * course.steps), seconds=limit)
        self._aside = Purse(steps=round(SET_ASIDE * budget * course.steps), seconds=limit)
        self._length = min(course.steps, max(SHORTEST, min(LONGEST, round(0.03 * course.steps))))
        self._table: list[Attempt] = []
        self._tried: set[tuple[str, tuple[str, ...]]] = set()
        self._useless: dict[str, frozenset[str]] = {}
        self._first: Diagnosis | None = None
        self._untreated = -math.inf
        self._best = self._start = Mark(0, -math.inf, course)
        self._replaced = -math.inf
        self._reference: Reference | None = None
        self._sources: dict[tuple[str, int], tuple[Feed, Source]] = {}
        self._remembered: dict[Any, Any] = {}
        self._watched_seconds, self._watched_steps, self._trained_on = 0.0, 0, 0

    def run(self) -> Healed:
        """One run after the other, each from where the last one was treated, until one comes to
        its end."""
        trial = Trial(self._original)
        for number in range(ROUNDS + 1):
            treated, found = self._until_treated(trial, may=number < ROUNDS)
            if treated is None and self._original.raised is not None and not self._table:
                raise untrainable(self._original.raised) from self._original.raised
            if treated is None:
                return self._ended(trial, found)
            trial = treated
        raise AssertionError("the last run is not treated")

    def _until_treated(self, trial: Trial, *, may: bool) -> tuple[Trial | None, Diagnosis]:
        """The trial to go on with in the place of this one, None when this one has ended; and
        what was found last. Some faults are seen only once the plan is at its end."""
        marks, asked = Marks(trial), 0
        if not trial.start:
            self._start = marks.begin
        with self._watched(trial) as doctor:
            while not trial.ended:
                self._go_on(trial, self._apart(trial))
                if trial.raised is not None:
                    doctor.crashed(trial.raised)
                marks.judge()
                if not self._table:
                    self._untreated = marks.best.score
                self._best = max(self._best, marks.best, key=lambda each: each.score)
                gone = trial.step - trial.start
                if trial.ended or not may or gone < ASKED * asked:
                    continue
                asked = gone
                found = self._asked(doctor, marks)
                treated = self._treated(marks, found)
                if treated is not None:
                    return treated, found
        found = self._asked(doctor, marks)
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
        began, before, samples = time.perf_counter(), trial.step, trial.trained_on
        trial.go_on(steps)
        self._watched_seconds += time.perf_counter() - began
        self._watched_steps += trial.step - before
        self._trained_on += trial.trained_on - samples

    # Looking

    def _asked(self, doctor: Doctor, marks: Marks) -> Diagnosis:
        record = doctor.record()
        if not marks.trial.start:
            self._reference = record.get(Reference)
        elif self._reference is not None:  # there is no check-up under way
            record = record.with_facts(self._reference)
        found = diagnosed(record.with_facts(*marks.judged))
        self._first = found if self._first is None or not self._table else self._first
        return found

    def _watched(self, trial: Trial) -> Doctor:
        """A doctor who knows the data and the plan; the check-up is for beginnings."""
        course = trial.course
        doctor = Doctor(
            course.model,
            [course.optimizer],
            checkup=False if trial.start else self._for_checkup,
            # By the clock it would be another diagnosis each time.
            every=max(CLOSEST, self._original.steps // LOOKS),
            rounds=False,
        )
        patient = doctor.patient
        left = course.steps - trial.start
        patient.setup = dataclasses.replace(
            patient.setup, epochs=math.ceil(left / course.train.steps), planned_steps=left
        )
        patient.given = () if course.scheduler is None else (course.scheduler,)
        patient.train, patient.val = self._source(course, "train"), self._source(course, "val")
        patient.setup = dataclasses.replace(patient.setup, steps_per_epoch=course.train.steps)
        patient.remembered = self._remembered
        return doctor

    @property
    def _for_checkup(self) -> float:
        """Seconds of a check-up: no large part of what is left."""
        remain = self._seconds - (time.perf_counter() - self._began)
        return min(CHECKUP, max(0.5, 0.2 * remain))

    def _source(self, course: Course, name: str) -> Source:
        """The same one for the same data, so that what is known of them is known."""
        feed = course.train if name == "train" else course.val
        known = self._sources.setdefault((name, id(feed)), (feed, source_of(course, name)))
        return known[1]

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
            and not self._purse_for(each).empty
            and treatable(self._begin(marks, each).course, each)
        ]
        names = {each.name for each in alarms}
        roots = [each for each in alarms if names.isdisjoint(each.yields_to)] or alarms
        for group in GROUPS:
            found = [each for each in roots if each.group == group and each.name not in ALONE]
            if found:
                return found
        return [each for each in roots if each.name in ALONE]

    def _begin(self, marks: Marks, finding: Finding) -> Mark:
        """Where what treats this may begin: a run that began under way has no beginning."""
        return self._start if finding.name in ALONE else marks.begin

    def _purse_for(self, finding: Finding) -> Purse:
        return self._aside if finding.name in ALONE else self._purse

    def _treated(self, marks: Marks, diagnosis: Diagnosis) -> Trial | None:
        """The trial that goes on with what helped; None where nothing is to be done, or did."""
        findings = self._next(marks, diagnosis)
        if not findings:
            return None
        late = findings[0].group in LATE
        begin = self._begin(marks, findings[0])
        base = marks.best if late and marks.learned else begin
        names = tuple(dict.fromkeys(each.name for each in findings))
        but = frozenset.intersection(*(self._useless.get(each, frozenset()) for each in names))
        candidates = list(candidates_for(base.course, findings, but=but))
        if not candidates and base is not marks.begin:  # some can be done at the beginning alone
            base = marks.begin
            candidates = list(candidates_for(base.course, findings, but=but))
        self._tried |= {(each.name, each.layers) for each in findings}
        if not candidates:
            return None
        run = marks.trial
        fresh = base is marks.begin and run.step <= run.start + self._length
        control = run if fresh else Trial(base.course)
        raced = race(control, candidates, self._purse_for(findings[0]), steps=self._length)
        if not raced.entered:
            return None
        carried = None
        carries = not late and base.step == 0 and findings[0].name not in ALONE
        if raced.winner is None and carries and _harmless(raced, 1):
            carried = raced.rows[1]
        self._table.append(
            Attempt(
                findings=names,
                group=findings[0].group,
                step=base.step,
                rows=raced.rows,
                carried=carried,
            )
        )
        if raced.trial is not None:
            if base is not marks.begin and not late:
                self._replaced = max(self._replaced, run.judged().value)
            # What helped may have to be done once more: a tenth of the rate can be too much still.
            self._tried -= {(each.name, each.layers) for each in findings}
            self._useless |= {each: _no_better(raced) for each in names}
            return raced.trial if base.step else Trial(raced.trial.begun)
        return Trial(raced.entered[0].begin()) if carried is not None else None

    # The end

    @property
    def _passes(self) -> float:
        feed = self._original.train
        samples = self._trained_on + self._purse.trained_on + self._aside.trained_on
        return samples / max(1, self._original.steps * feed.batch * feed.unit)

    def _ended(self, trial: Trial, left: Diagnosis) -> Healed:
        assert self._first is not None
        took = time.perf_counter() - self._began
        self._plain.measure(seconds=TIMED * self._seconds)
        watched = self._watched_seconds / max(self._watched_steps, 1) * self._original.steps
        return ended(
            trial,
            begun=self._original,
            best=self._best,
            untreated=self._untreated,
            replaced=self._replaced,
            table=self._table,
            first=self._first,
            left=left,
            cost=took / max(self._plain.seconds or watched, 1e-9),
            passes=self._passes,
            suspects=suspects_of(self._original, (self._first, left)),
        )


def _refuse(budget: object, seconds: object) -> None:
    for name, value in (("budget", budget), ("seconds", seconds)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise SettingError("{name} is a number above 0, not {value}.", name=name,
                               value=repr(value))  # fmt: skip


def _for_trials(seconds: float, plain: float) -> float:
    """Of so many seconds: what a training that takes `plain` leaves, within bounds."""
    return (
        max(0.2 * seconds, min(0.6 * seconds, seconds - plain)) if seconds < math.inf else seconds
    )


def _no_better(ended: Race) -> frozenset[str]:
    """The treatments that did no better than the control in whatever company: while the cause
    stood in full, and so once it is half mended."""
    control, *rows = ended.rows
    tried = {name for row in rows for name in row.names}
    return frozenset(tried - {n for row in rows if row.score > control.score for n in row.names})


def _harmless(ended: Race, place: int) -> bool:
    """Whether a candidate is no worse than the control by more than the spread."""
    control, row = ended.rows[0], ended.rows[place]
    if row.error or not math.isfinite(row.score):
        return False
    if not math.isfinite(control.score):
        return True
    course = ended.control.course
    doubt = course.judge.doubt(control.score, min(course.val.samples, MOST_JUDGED))
    return row.score >= control.score - max(row.spread, control.spread, BEST * doubt)
