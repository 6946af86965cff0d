"""Patched scripts race against the script as it is, by successive halving.

All run some steps, the better half goes on to twice as many. The one that is left runs with more
seeds, and so does the control: it has won only if it is better by more than the scores spread
over the seeds, and by more than the luck of the samples that judge.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.tasks.patches import Patch
from netwright.tasks.repair.account import Row
from netwright.tasks.repair.jobs import Mark
from netwright.tasks.repair.process import Process
from netwright.tasks.source.script import Script

CLEAR = 4.0
"""Standard errors by which a lead is no luck: then the seeds are asked at once."""

Start = Callable[[Script, int], Process]
"""Runs a script with a seed."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A patched script; `names` are the patches in it that this race is about."""

    names: tuple[str, ...]
    says: Phrase
    script: Script
    safe: bool = False
    whole: bool = False
    """Whether it treats what other groups have found as well: of equals it is the better one, for
    it leaves fewer faults."""

    @classmethod
    def of(
        cls, chosen: Sequence[tuple[str, Patch]], says: Phrase, *, whole: bool = False
    ) -> Candidate:
        return cls(
            names=tuple(name for name, _ in chosen),
            says=says,
            script=chosen[-1][1].script,
            safe=all(patch.grade == "safe" for _, patch in chosen),
            whole=whole,
        )


@dataclass(kw_only=True)
class Purse:
    """What may still be spent on trials: steps, and seconds of the clock. `slow` is how long one
    run may take to its next mark."""

    steps: int
    seconds: float
    slow: float
    began: float = dataclasses.field(default_factory=time.monotonic)
    spent: int = 0
    fixed: bool = False
    """Whether the script seeds itself: another seed gives the same run."""

    @property
    def empty(self) -> bool:
        return self.spent >= self.steps or time.monotonic() - self.began > self.seconds


class Control:
    """What patches race against: the marks of a run, and where more steps must be known a trial
    from `start` that takes them. Used in a `with`, which ends the trial."""

    def __init__(self, marks: Sequence[Mark], start: Callable[[], Process] | None = None) -> None:
        self.marks = list(marks)
        self._start = start
        self._run: Process | None = None

    def reach(self, until: int, purse: Purse) -> None:
        """Know it up to a step, if it has not ended before."""
        known = self.marks[-1].step if self.marks else 0
        if self._start is None or known >= until or (self.marks and self.marks[-1].last):
            return
        self._run = self._run or self._start()
        _to(self._run, until, purse)
        if any(each.last and each.step < known for each in self._run.marks):
            self._start = None  # it does not run as it did when it was not tried
            return
        self.marks += [each for each in self._run.marks if each.step > known]

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        if self._run is not None:
            self._run.kill()


@dataclass(frozen=True, kw_only=True)
class Raced:
    """`idle` says that the first change changes nothing: its run went just as the script's."""

    rows: tuple[Row, ...]
    winner: Candidate | None
    idle: bool = False


def at(marks: Sequence[Mark], step: int) -> Mark | None:
    """The mark of a run at a step: the last one up to there, or its end."""
    known = [each for each in marks if each.step <= step or each.last]
    return known[-1] if known else None


def race(
    against: Control,
    script: Script,
    candidates: Sequence[Candidate],
    start: Start,
    purse: Purse,
    *,
    marks: Sequence[int],
    seeds: int,
) -> Raced:
    """Which candidate is better than `script`, whose marks with the first seed are `against`.

    The first candidate begins alone where it is always right: if it leads by more than luck, the
    others need not run.
    """
    with contextlib.ExitStack() as stack:
        runs: list[Process | None] = [None] * len(candidates)
        reached: list[list[Mark]] = [[] for _ in candidates]
        field = list(range(len(candidates)))
        more: dict[int, list[list[Mark]]] = {}
        beside: list[list[Mark]] = []
        best: int | None = None
        until, control = marks[0], against.marks
        for number, until in enumerate(marks):
            if number and purse.empty:
                until = marks[number - 1]
            against.reach(until, purse)
            control = against.marks
            for place in list(field):
                if purse.empty and number:
                    break
                run = runs[place]
                if run is None:
                    run = runs[place] = stack.enter_context(start(candidates[place].script, 0))
                _to(run, until, purse)
                reached[place] = list(run.marks)
                if not number and candidates[place].safe and not place:
                    own = at(reached[0], until)
                    if _fits(own, control) and _leads(own, at(control, until)):
                        field = [0]
                        break
            order = sorted(field, key=lambda p: _place(reached[p], until, candidates[p], p))
            field = [p for p in order if _fits(at(reached[p], until), control)]
            for place, run in enumerate(runs):
                if run is not None and place not in field:
                    run.kill()
            if not field:
                break
            last = number == len(marks) - 1 or purse.empty
            if last or _leads(at(reached[field[0]], until), at(control, until)):
                best = field[0]
                rivals = more.setdefault(best, [])
                _more(rivals, candidates[best].script, start, purse, until, seeds, reached[best])
                _more(beside, script, start, purse, until, seeds, control)
                if last or _won(_all(reached[best], rivals, until), _all(control, beside, until)):
                    break
            keep = field[: max(1, math.ceil(len(field) / 2))]
            for place in field[len(keep) :]:
                run = runs[place]
                if run is not None:
                    run.kill()
            field = keep
        won = best is not None and _won(
            _all(reached[best], more.get(best, []), until), _all(control, beside, until)
        )
    rows = [_row((), Phrase("as it is"), _all(control, beside, until))]
    for place, each in enumerate(candidates):
        if runs[place] is None:
            continue
        row = _row(each.names, each.says, _all(reached[place], more.get(place, []), until))
        rows.append(dataclasses.replace(row, kept=won and place == best))
    own, other = at(reached[0], until), at(control, until)
    return Raced(
        rows=tuple(rows),
        winner=candidates[best] if won and best is not None else None,
        idle=own is not None and other is not None and _same(own, other),
    )


def _to(run: Process, until: int, purse: Purse) -> None:
    """Let a run go on to a mark."""
    while not run.over and (run.last is None or (run.last.step < until and not run.last.last)):
        before = run.last.step if run.last is not None else 0
        if run.marks:
            run.go_on()
        mark = run.until_mark(purse.slow)
        if mark is None:
            break
        purse.spent += max(0, mark.step - before)
    if run.last is None or (run.last.step < until and not run.last.last):
        step = run.last.step if run.last is not None else 0
        run.marks.append(Mark(step=step, last=True, error="it ended or took too long"))


def _more(
    found: list[list[Mark]],
    script: Script,
    start: Start,
    purse: Purse,
    until: int,
    seeds: int,
    first: Sequence[Mark],
) -> None:
    """More seeds, of a script whose random numbers are not seeded by itself."""
    own = at(first, until)
    for place in range(1, 1 if purse.fixed else seeds):
        if len(found) >= place:
            reached = at(found[place - 1], until)
            if reached is not None and (reached.step >= until or reached.last):
                continue
            found.pop()
        with start(script, place) as run:
            _to(run, until, purse)
        found.insert(place - 1, list(run.marks))
        other = at(run.marks, until)
        if own is not None and other is not None and _same(own, other):
            purse.fixed = True
            found.clear()
        if purse.fixed:
            return


def _same(one: Mark, other: Mark) -> bool:
    return (
        one.score == other.score
        and one.step == other.step
        and (
            one.fallen == other.fallen or (one.fallen != one.fallen) == (other.fallen != one.fallen)
        )
        and not one.error
    )


def _place(
    marks: Sequence[Mark], until: int, candidate: Candidate, place: int
) -> tuple[float, float, int]:
    """The better score first; of equal ones the one that treats more, then the one whose loss fell
    by the larger part."""
    mark = at(marks, until)
    if mark is None:
        return math.inf, math.inf, place
    value = mark.value + (2 * mark.doubt if candidate.whole else 0.0)
    return -value, mark.fallen if math.isfinite(mark.fallen) else math.inf, place


def _fits(mark: Mark | None, control: Sequence[Mark]) -> bool:
    """Whether a run can be compared: it lives, and was judged in the same way as the control, on
    the same samples."""
    if mark is None or mark.error or mark.score is None:
        return False
    measures = {each.measure for each in control if each.score is not None and not each.error}
    return not measures or mark.measure in measures


def alike(one: Mark, other: Mark) -> bool:
    """Whether two marks were judged in the same way on the same samples; who ended in an error was
    not judged, and is worse than any."""
    return one.error != "" or other.error != "" or one.measure == other.measure


def _leads(mark: Mark | None, control: Mark | None) -> bool:
    if mark is None or control is None:
        return mark is not None
    doubt = math.hypot(mark.doubt, control.doubt)
    return mark.value - control.value > CLEAR * doubt


def _all(first: Sequence[Mark], others: Sequence[Sequence[Mark]], until: int) -> list[Mark]:
    found = [at(each, until) for each in (first, *others)]
    return [each for each in found if each is not None]


def _won(marks: Sequence[Mark], control: Sequence[Mark]) -> bool:
    scores, beaten = [e.value for e in marks], [e.value for e in control]
    if not scores or not all(map(math.isfinite, scores)):
        return False
    if any(not alike(one, other) for one, other in zip(marks, control, strict=False)):
        return False
    if not beaten or not all(map(math.isfinite, beaten)):
        return True  # the training as it is does not even last so long
    spread = max(_spread(scores), _spread(beaten))
    doubt = math.hypot(marks[0].doubt, control[0].doubt) / math.sqrt(len(scores))
    return statistics.fmean(scores) - statistics.fmean(beaten) > max(spread, doubt)


def harmless(raced: Raced) -> bool:
    """Whether the first change is no worse than the script as it is by more than luck. What changes
    nothing at all may stand in a wrong place, and is never kept."""
    control, row = raced.rows[:2]
    if raced.idle or row.error or not math.isfinite(row.score):
        return False
    if not math.isfinite(control.score):
        return True
    luck = 2 * math.hypot(row.doubt, control.doubt)
    return row.score >= control.score - max(row.spread, control.spread, luck)


def _spread(scores: Sequence[float]) -> float:
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


def _row(names: tuple[str, ...], says: Phrase, marks: Sequence[Mark]) -> Row:
    last = marks[0] if marks else None
    return Row(
        names=names,
        says=says,
        steps=last.step if last is not None else 0,
        scores=tuple(each.value for each in marks),
        error=next((each.error for each in marks if each.error), ""),
        kind=last.kind if last is not None else "",
        doubt=last.doubt if last is not None else 0.0,
        judged=any(each.score is not None and not each.error for each in marks),
    )
