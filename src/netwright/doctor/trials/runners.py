"""Who races: each change is made when it starts, and its model is dropped when it falls behind.

A race of six changes holds three of them and the one that runs, not twelve copies of the network.
One that is asked after all, because all before it have fallen, starts anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from netwright.core.errors import NetwrightError
from netwright.core.languages import Phrase
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.purse import Purse
from netwright.doctor.trials.trial import Trial

UNFIT = (NetwrightError, RuntimeError, ValueError, TypeError)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A change. `names` are the treatments in it, `says` what was done; `begin` makes the course
    with it, the same one each time, for it is made where it is wanted and held no longer; it raises
    what is `UNFIT` where the change does not suit the network."""

    names: tuple[str, ...]
    says: Phrase
    begin: Callable[[], Course]


class Runners:
    """The candidates on their way, by number. `entered` are those whose change could be made.

    All of them go the first steps when this is made, as far as the purse has enough.
    """

    def __init__(
        self,
        control: Trial,
        candidates: Sequence[Candidate],
        purse: Purse,
        seed: int,
        *,
        until: int,
    ) -> None:
        self.entered: list[Candidate] = []
        self._trials: list[Trial] = []
        self._control, self._purse, self._seed = control, purse, seed
        half = max(1, math.ceil(len(candidates) / 2))
        for each in candidates:
            try:
                trial = self._begun(each)
            except UNFIT:
                continue
            self.entered.append(each)
            self._trials.append(trial)
            if not purse.empty:
                purse.pay(trial, until)
            order = self._ranked(range(len(self._trials)))
            there = set(self.there(order, until)[:half])
            self.let_go(place for place in order if place not in there)

    def __getitem__(self, place: int) -> Trial:
        return self._trials[place]

    def _begun(self, candidate: Candidate) -> Trial:
        course = candidate.begin()
        pace = _pace(course, self._control.course)
        return Trial(course, self._seed, again=candidate.begin, pace=pace)

    def go_on(self, places: Iterable[int], until: int) -> list[int]:
        """Those of them that come there, the best first."""
        places = list(places)
        for each in places:
            if not self._purse.empty:
                if self._trials[each].gone:
                    self._trials[each] = self._begun(self.entered[each])
                self._purse.pay(self._trials[each], until)
        return self.there(places, until)

    def there(self, places: Iterable[int], until: int) -> list[int]:
        """Those that have come as far as they were to come, the best first."""
        return [each for each in self._ranked(places) if came(self._trials[each], until)]

    def following(self, behind: list[int], until: int) -> list[int]:
        """The best of those that were left behind, taken from among them, that comes as far as who
        led and has fallen: a rate that is too high leads for a while."""
        while behind:
            place = behind.pop(0)
            if found := self.go_on([place], until):
                return found
            self.let_go([place])
        return []

    def let_go(self, places: Iterable[int], *others: Trial) -> None:
        """Their models are not needed any more."""
        for trial in (*(self._trials[each] for each in places), *others):
            if not trial.gone:
                trial.let_go(self._control.course)

    def _ranked(self, places: Iterable[int]) -> list[int]:
        """The better score first; of equal ones the one whose loss fell by the larger part."""

        def key(each: int) -> tuple[float, float, int]:
            trial = self._trials[each]
            score = trial.judged()
            start = trial.losses[0] if trial.losses else math.nan
            fallen = score.loss / start if start > 0 and math.isfinite(score.loss) else math.inf
            return -score.value, fallen, each

        return sorted(places, key=key)


def came(trial: Trial, until: int) -> bool:
    """Whether it has come as far as it was to come: no error, and the purse had enough."""
    return not trial.error and trial.step >= min(trial.reach(until), trial.course.steps)


def _pace(course: Course, control: Course) -> float:
    """Where batches are smaller, as many steps as take the same samples. Larger ones are to pay
    step by step."""
    ours, theirs = (each.train.batch * each.train.unit for each in (course, control))
    return max(1.0, theirs / ours)
