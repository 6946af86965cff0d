"""A change is a hypothesis: several race against the training as it is, on the same batches.

Successive halving (Jamieson and Talwalkar, 2016): all run some steps, the better half goes on to
twice as many. Who is left runs with more seeds, and so does the control: a change has won only if
it is better by more than the scores spread over the seeds.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from netwright.core.languages import Phrase
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.trial import Trial

SEEDS = (0, 1, 2)

ROUNDS = 3
"""Of 50, 100 and 200 steps, where 50 are asked for."""

CLEAR = 4.0
"""Standard errors of the judge by which a lead is no luck of the samples: then the seeds are asked
at once."""


BEST = 2.0
"""Standard errors by which the best of some twenty marks is above what it is worth."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A course with something changed. `names` are the treatments in it, `says` what was done."""

    names: tuple[str, ...]
    says: Phrase
    course: Course


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one candidate came out: the score of each seed after `steps`. `error` says why it could
    not go on. The control has no names."""

    names: tuple[str, ...]
    says: Phrase
    steps: int
    scores: tuple[float, ...]
    error: str = ""
    kept: bool = False

    @property
    def score(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds; 0 of one seed, and where a run ended early."""
        return _spread(self.scores) if all(map(math.isfinite, self.scores)) else 0.0


@dataclass(kw_only=True)
class Purse:
    """What may still be spent on trials: steps, and seconds of the clock."""

    steps: int
    seconds: float = math.inf
    spent: int = 0
    _began: float = field(default_factory=time.perf_counter)

    @property
    def empty(self) -> bool:
        return self.spent >= self.steps or time.perf_counter() - self._began > self.seconds

    def affords(self, steps: int) -> bool:
        return not self.empty and self.spent + steps <= self.steps

    def pay(self, trial: Trial, until: int, times: float = 1.0) -> None:
        """The trial goes on to that step of the control, at the cost of the purse, and is judged;
        `times` is how many of its own steps make one of the control's."""
        before = trial.step
        trial.go_on(max(0, _reach(trial, until, times) - trial.step))
        self.spent += round((trial.step - before) / times)
        trial.judged()


@dataclass(frozen=True, kw_only=True)
class Race:
    """`rows` begins with the control. `winner` is the candidate that is better than it by more
    than the spread, None where there is none; `trial` is its run with the first seed."""

    rows: tuple[Row, ...]
    winner: Candidate | None
    trial: Trial | None
    control: Trial


def race(
    control: Trial,
    candidates: Sequence[Candidate],
    purse: Purse,
    *,
    steps: int = 50,
    seeds: Sequence[int] = SEEDS,
) -> Race:
    """Which of the candidates is better than the control, and how sure that is.

    `control` is a trial of the course as it is with the first of the `seeds`; it may have gone
    some steps already, of which none is taken twice. The candidates start where it did. Nobody
    goes beyond the end of its own plan: where a candidate plans more epochs, or ends at once, the
    other one is held against what stands.
    """
    start = control.start
    runs = [Trial(each.course, seeds[0]) for each in candidates]
    times = [_times(each, control) for each in runs]
    field, length = list(range(len(runs))), max(1, steps)
    others: dict[int, list[Trial]] = {}
    behind: list[int] = []
    for number in range(ROUNDS):
        until = start + length
        purse.pay(control, until)
        for each in field:
            if not purse.empty:
                purse.pay(runs[each], until, times[each])
        field = sorted(
            (each for each in field if _there(runs[each], until, times[each])), key=_place(runs)
        )
        field = field or _following(behind, runs, times, purse, until)
        last = number == ROUNDS - 1 or not purse.affords((len(field) // 2 + 2) * length)
        while field and (last or _leads(runs[field[0]], control)):
            beside = others.setdefault(-1, _more(control, seeds))
            rivals = others.setdefault(field[0], _more(runs[field[0]], seeds))
            for trial in (*beside, *rivals):
                if not purse.empty or last:
                    purse.pay(trial, until, _times(trial, control))
            if not any(each.error for each in rivals):
                break
            # What leads with one seed fails with another: the next one is asked.
            field = field[1:] or _following(behind, runs, times, purse, until)
        if not field or last:
            break
        if _won((runs[field[0]], *others.get(field[0], [])), (control, *others.get(-1, []))):
            break
        kept = max(1, math.ceil(len(field) / 2))
        field, behind = field[:kept], field[kept:] + behind
        length *= 2
    first = field[0] if field else None
    won = first is not None and _won(
        (runs[first], *others.get(first, [])), (control, *others.get(-1, []))
    )
    rows = [
        _row((), Phrase("as it is"), control, others.get(-1, [])),
        *(
            replace(_row(each.names, each.says, run, others.get(place, [])),
                    kept=won and place == first)
            for place, (each, run) in enumerate(zip(candidates, runs, strict=True))
        ),
    ]  # fmt: skip
    return Race(
        rows=tuple(rows),
        winner=candidates[first] if won and first is not None else None,
        trial=runs[first] if won and first is not None else None,
        control=control,
    )


def _times(trial: Trial, control: Trial) -> float:
    """Steps of the trial that are worth one of the control's: where its batches are smaller, as
    many as take the same samples. Larger ones are to pay step by step."""
    ours, theirs = (each.course.train.batch * each.course.train.unit for each in (trial, control))
    return max(1.0, theirs / ours)


def _reach(trial: Trial, until: int, times: float) -> int:
    return trial.start + round(times * (until - trial.start))


def _following(
    behind: list[int], runs: Sequence[Trial], times: Sequence[float], purse: Purse, until: int
) -> list[int]:
    """The best of those that were left behind, taken from among them, that comes as far as who led
    and has fallen: a rate that is too high leads for a while."""
    while behind and not purse.empty:
        following = behind.pop(0)
        purse.pay(runs[following], until, times[following])
        if _there(runs[following], until, times[following]):
            return [following]
    return []


def _place(runs: Sequence[Trial]) -> Callable[[int], tuple[float, float, int]]:
    """The better score first; of equal ones the one whose loss fell by the larger part."""

    def key(each: int) -> tuple[float, float, int]:
        score = runs[each].judged()
        start = runs[each].losses[0] if runs[each].losses else math.nan
        fallen = score.loss / start if start > 0 and math.isfinite(score.loss) else math.inf
        return -score.value, fallen, each

    return key


def _there(trial: Trial, until: int, times: float) -> bool:
    """Whether it has come as far as it was to come: no error, and the purse had enough."""
    return not trial.error and trial.step >= min(_reach(trial, until, times), trial.course.steps)


def _more(trial: Trial, seeds: Sequence[int]) -> list[Trial]:
    """The same with the other seeds; none of one whose plan was at its end when it began."""
    if trial.start >= trial.course.steps:
        return []
    return [Trial(trial.begun, seed) for seed in seeds[1:]]


def _leads(trial: Trial, control: Trial) -> bool:
    """Whether it leads by more than the luck of the samples that judge."""
    ahead, behind = trial.judged().value, control.judged().value
    judge, samples = trial.course.judge, min(trial.course.val.samples, 4000)
    doubt = math.hypot(judge.doubt(ahead, samples), judge.doubt(behind, samples))
    return ahead - behind > CLEAR * doubt


def _won(ahead: Sequence[Trial], behind: Sequence[Trial]) -> bool:
    """By more than the spread over the seeds of either. One whose plan is at its end stands where
    it is, with one score and no spread; two such are no race."""
    scores, control = _scores(ahead), _scores(behind)
    stands = [each[0].step == each[0].start for each in (ahead, behind)]
    if all(stands) or not scores or not control or not all(map(math.isfinite, scores)):
        return False
    if len(scores) < 2 and not stands[0]:
        return False
    if not all(map(math.isfinite, control)):
        return True  # the training as it is does not even last so long
    lead = statistics.fmean(scores) - statistics.fmean(control)
    spread = max(_spread(scores), _spread(control))
    if stands[0]:
        # It stands where a run was best, by luck of the samples too: that luck is taken off.
        judge, samples = ahead[0].course.judge, min(ahead[0].course.val.samples, 4000)
        spread = max(spread, BEST * judge.doubt(scores[0], samples))
    return lead > spread


def _spread(scores: Sequence[float]) -> float:
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def _scores(trials: Sequence[Trial]) -> list[float]:
    return [each.judged().value for each in trials if _ran(each)]


def _ran(trial: Trial) -> bool:
    """Whether it has something to show: steps, an error, or a plan that was at its end."""
    return trial.step > trial.start or bool(trial.error) or trial.start >= trial.course.steps


def _row(names: tuple[str, ...], says: Phrase, first: Trial, others: Sequence[Trial]) -> Row:
    asked = [first, *filter(_ran, others)]
    return Row(
        names=names,
        says=says,
        steps=first.step - first.start,
        scores=tuple(each.judged().value for each in asked),
        error=next((each.error for each in asked if each.error), ""),
    )
