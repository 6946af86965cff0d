"""What counts as better: more than the spread over seeds, and more than the luck of the samples."""

from __future__ import annotations

import math

import pytest

from netwright.core.languages import Phrase
from netwright.doctor.trials.judge import Judge
from netwright.tasks.repair.account import Attempt, Row
from netwright.tasks.repair.jobs import Mark
from netwright.tasks.repair.racing import Candidate, Control, Purse, _fits, _won, at, harmless, race
from netwright.tasks.repairing import _nothing_kept


def marks(*scores, doubt=0.0):
    return [Mark(step=50, score=each, doubt=doubt) for each in scores]


def test_a_lead_must_be_larger_than_the_spread():
    assert _won(marks(0.9, 0.91, 0.92), marks(0.5, 0.51, 0.52))
    assert not _won(marks(0.60, 0.40, 0.53), marks(0.5, 0.51, 0.49))


def test_of_one_seed_it_must_be_larger_than_the_luck_of_the_samples():
    assert _won(marks(0.54, doubt=0.01), marks(0.5, doubt=0.01))
    assert not _won(marks(0.51, doubt=0.01), marks(0.5, doubt=0.01))


@pytest.mark.parametrize("samples", [100, 480, 1024])
def test_a_few_samples_more_near_all_or_none_are_luck(samples):
    judge = Judge(kind="accuracy")

    def stood(right):
        return marks(right / samples, doubt=judge.doubt(right / samples, samples))

    assert not _won(stood(samples), stood(samples - 1))
    assert not _won(stood(samples), stood(samples - 2))
    assert not _won(stood(2), stood(0))
    assert _won(stood(samples), stood(samples - 8))
    assert judge.doubt(1.0, samples) > 0


def test_who_ends_in_an_error_has_not_won_and_is_beaten():
    broken = [Mark(step=3, last=True, error="the loss is not finite")]
    assert not _won(broken, marks(0.1))
    assert _won(marks(0.1), broken)
    assert broken[0].value == -math.inf


def test_a_run_that_has_ended_counts_at_every_later_step():
    run = [Mark(step=50, score=0.1), Mark(step=70, score=0.2, last=True)]
    assert at(run, 50).score == 0.2
    assert at([run[0]], 100) is run[0]
    assert at([], 100) is None


def test_who_was_judged_on_fewer_samples_has_not_won():
    whole = [Mark(step=50, score=0.5, kind="accuracy", source="validation", judged_on="1000 rows")]
    fewer = [Mark(step=50, score=0.9, kind="accuracy", source="validation", judged_on="10 rows")]
    assert _won([Mark(step=50, score=0.9, kind="accuracy", source="validation",
                      judged_on="1000 rows")], whole)  # fmt: skip
    assert not _won(fewer, whole)
    assert not _fits(fewer[0], whole)


class Run:
    """A process in the test's hands: scores by step."""

    begun: list[str] = []  # noqa: RUF012

    def __init__(self, name, scores):
        self.begun.append(name)
        self.marks, self._left = [], list(scores.items())
        self.over = False

    @property
    def last(self):
        return self.marks[-1] if self.marks else None

    def until_mark(self, seconds):
        step, score = self._left.pop(0)
        self.marks.append(Mark(step=step, score=score, doubt=0.01))
        return self.marks[-1]

    def go_on(self):
        pass

    def kill(self):
        self.over = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def raced(scores, *, safe):
    """Candidates with these scores after 50, 100 and 200 steps against one that stays at 0.1; what
    the first run of the control knows ends at step 50. The names of the runs that were begun."""
    Run.begun.clear()
    known = {name: dict(zip((50, 100, 200), each, strict=True)) for name, each in scores.items()}
    known["control"] = {50: 0.1, 100: 0.1, 200: 0.1}
    found = race(
        Control(marks(0.1, doubt=0.01), lambda: Run("control", known["control"])),
        "control",
        [Candidate(names=(each,), says=Phrase(each), script=each, safe=safe) for each in scores],
        lambda script, seed: Run(script, known[script]),
        Purse(steps=10_000, seconds=600, slow=60),
        marks=(50, 100, 200),
        seeds=1,
    )
    return found, Run.begun[:]


def test_what_is_surely_right_and_clearly_better_needs_no_rivals():
    found, begun = raced({"first": (0.9, 0.9, 0.9), "other": (0.95, 0.95, 0.95)}, safe=True)
    assert found.winner.names == ("first",)
    assert begun == ["first"]


def test_what_may_be_wrong_has_rivals():
    found, begun = raced({"first": (0.9, 0.9, 0.9), "other": (0.95, 0.95, 0.95)}, safe=False)
    assert found.winner.names == ("other",)
    assert begun == ["first", "other"]


def test_the_control_goes_on_only_where_its_later_steps_are_asked_for():
    found, begun = raced({"slow": (0.1, 0.1, 0.9)}, safe=True)
    assert found.winner.names == ("slow",)
    assert begun == ["slow", "control"]


def test_what_changes_nothing_at_all_is_not_kept_for_what_comes_after():
    def course(scores):
        return [
            Mark(step=s, score=v, fallen=v) for s, v in zip((50, 100, 200), scores, strict=True)
        ]

    def kept(own):
        found = race(
            Control(course((0.1, 0.2, 0.3))),
            "control",
            [Candidate(names=("own",), says=Phrase("own"), script="own", safe=True)],
            lambda script, seed: Known(own),
            Purse(steps=10_000, seconds=600, slow=60, fixed=True),
            marks=(50, 100, 200),
            seeds=1,
        )
        return harmless(found)

    class Known(Run):
        def __init__(self, scores):
            super().__init__("known", dict.fromkeys(scores))
            self._left = course(scores)

        def until_mark(self, seconds):
            self.marks.append(self._left.pop(0))
            return self.marks[-1]

    assert kept((0.1, 0.21, 0.3 + 1e-9))
    assert not kept((0.1, 0.2, 0.3))


def test_a_race_in_which_nothing_was_judged_is_not_said_to_be_lost():
    def row(**values):
        return Row(names=("zero-grad",), says=Phrase("x"), steps=0, scores=(), **values)

    def told(each):
        return str(_nothing_kept([Attempt(findings=("x",), group="wiring", rows=(each,))]))

    assert told(row(error="EOFError: EOF when reading a line")) == (
        "No patched script could be compared with the script as it is: "
        "EOFError: EOF when reading a line"
    )
    assert told(row(judged=True)).startswith("No patch was better than the script as it is")
