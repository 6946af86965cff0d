"""A change is a hypothesis: several race against the training as it is, on the same batches.

Successive halving (Jamieson and Talwalkar, 2016): all run some steps, the better half goes on to
twice as many. Who is left runs with more seeds, and so does the control: a change has won only if
it is better by more than the scores spread over the seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from netwright.core.languages import Phrase
from netwright.doctor.trials.purse import Purse
from netwright.doctor.trials.runners import Candidate, Runners, came
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


@dataclass(frozen=True, kw_only=True)
class Race:
    """`rows` begins with the control, and those of `entered` follow. `winner` is the candidate that
    is better than the control by more than the spread, None where there is none; `trial` is its run
    with the first seed."""

    rows: tuple[Row, ...]
    entered: tuple[Candidate, ...]
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

    Of those that cannot be among the better half any more the model is held no longer.
    """
    start, length = control.start, max(1, steps)
    others: dict[int, list[Trial]] = {}
    behind: list[int] = []
    purse.pay(control, start + length)
    runners = Runners(control, candidates, purse, seeds[0], until=start + length)
    field = runners.there(range(len(runners.entered)), start + length)

    def won(places: list[int]) -> bool:
        ahead = [
            trial for place in places[:1] for trial in (runners[place], *others.get(place, []))
        ]
        return bool(ahead) and _won(ahead, (control, *others.get(-1, [])), until)

    def asked(place: int, trial: Trial) -> list[Trial]:
        """The same with the other seeds. In the last round one after the other is held, no more."""
        made = others.setdefault(place, [])
        for seed in seeds[1:] if start < trial.course.steps else ():
            if all(each.seed != seed for each in made):
                made.append(Trial(trial.begun, seed, pace=trial.pace))
            other = next(each for each in made if each.seed == seed)
            if not other.gone and (not purse.empty or (last and not purse.late)):
                purse.pay(other, until)
            if last:
                runners.let_go((), other)
        return made

    for number in range(ROUNDS):
        until = start + length
        if number:
            purse.pay(control, until)
            field = runners.go_on(field, until)
        field = field or runners.following(behind, until)
        last = number == ROUNDS - 1 or not purse.affords((len(field) // 2 + 2) * length)
        while field and (last or _leads(runners[field[0]], control)):
            asked(-1, control)
            rivals = asked(field[0], runners[field[0]])
            if not any(each.error for each in rivals):
                break
            # What leads with one seed fails with another: the next one is asked.
            runners.let_go(field[:1], *rivals)
            rest = field[1:]
            led = runners.following(rest, until)
            field = [*led, *rest] if led else runners.following(behind, until)
        if not field or last or won(field):
            break
        kept = max(1, math.ceil(len(field) / 2))
        runners.let_go(field[kept:])
        field, behind = field[:kept], field[kept:] + behind
        length *= 2
    first = field[0] if won(field) else None
    rows = [
        _row((), Phrase("as it is"), control, others.get(-1, [])),
        *(
            replace(_row(each.names, each.says, runners[place], others.get(place, [])),
                    kept=place == first)
            for place, each in enumerate(runners.entered)
        ),
    ]  # fmt: skip
    return Race(
        rows=tuple(rows),
        entered=tuple(runners.entered),
        winner=None if first is None else runners.entered[first],
        trial=None if first is None else runners[first],
        control=control,
    )


def _leads(trial: Trial, control: Trial) -> bool:
    """Whether it leads by more than the luck of the samples that judge."""
    ahead, behind = trial.judged().value, control.judged().value
    judge, samples = trial.course.judge, min(trial.course.val.samples, 4000)
    doubt = math.hypot(judge.doubt(ahead, samples), judge.doubt(behind, samples))
    return ahead - behind > CLEAR * doubt


def _won(ahead: Sequence[Trial], behind: Sequence[Trial], until: int) -> bool:
    """By more than the spread over the seeds of either. One whose plan is at its end stands where
    it is, with one score and no spread; two such are no race, and neither is one that the clock has
    cut short."""
    if any(_ran(each) and not each.error and not came(each, until) for each in (*ahead, *behind)):
        return False
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
