"""Several changes race against the training as it is: what that costs, and who wins."""

from __future__ import annotations

import math
import time
import weakref

import pytest
from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.purse import Purse
from netwright.doctor.trials.race import race
from netwright.doctor.trials.runners import Candidate, Runners
from netwright.doctor.trials.trial import Trial


def candidate(course, name="faster"):
    return Candidate(names=(name,), says=Phrase("as it is"), begin=course.copy)


def test_halving_costs_what_it_says(course):
    # Nobody leads clearly: four candidates run 5, two go on to 10, one to 20, and the last one and
    # the control do 20 with two seeds more each.
    begun = course(rate=1e-9)
    purse = Purse(steps=10_000)
    ended = race(Trial(begun), [candidate(course(rate=1e-9)) for _ in range(4)], purse, steps=5)
    assert ended.winner is None
    assert [row.steps for row in ended.rows] == [20, 20, 10, 5, 5]
    assert [len(row.scores) for row in ended.rows] == [3, 3, 1, 1, 1]
    assert purse.spent == 3 * 20 + 3 * 20 + 10 + 5 + 5


def test_a_clear_lead_is_asked_for_its_seeds_at_once(course):
    purse = Purse(steps=10_000)
    ended = race(Trial(course(rate=1e-9)), [candidate(course(rate=0.3))], purse, steps=12)
    assert ended.winner is not None
    assert ended.rows[1].kept
    assert len(ended.rows[1].scores) == len(ended.rows[0].scores) == 3
    assert purse.spent < 6 * 48


def test_what_is_no_better_by_more_than_the_spread_does_not_win(course):
    ended = race(Trial(course()), [candidate(course(rate=0.31))], Purse(steps=10_000), steps=4)
    assert ended.winner is None
    assert not any(row.kept for row in ended.rows)


def test_who_breaks_down_is_out_and_says_why(course):
    wild = course(rate=1e30)
    ended = race(Trial(course()), [candidate(wild)], Purse(steps=10_000), steps=4)
    assert ended.winner is None
    assert ended.rows[1].error == "the loss is not finite"
    assert ended.rows[1].score == -math.inf


def test_a_training_that_does_not_last_is_beaten_by_one_that_does(course):
    ended = race(Trial(course(rate=1e30)), [candidate(course(rate=0.01))], Purse(steps=10_000),
                 steps=4)  # fmt: skip
    assert ended.winner is not None


def test_an_empty_purse_pays_for_no_candidate(course):
    purse = Purse(steps=0)
    ended = race(Trial(course()), [candidate(course())], purse, steps=4)
    assert ended.winner is None
    assert ended.rows[1].steps == 0


def test_seconds_end_a_race_too(course):
    purse = Purse(steps=10_000, seconds=0.0)
    ended = race(Trial(course(rate=1e-9)), [candidate(course())], purse, steps=4)
    assert ended.winner is None


def test_steps_that_the_control_has_taken_are_not_taken_twice(course):
    control = Trial(course(rate=1e-9))
    control.go_on(5)
    purse = Purse(steps=10_000)
    race(control, [candidate(course(rate=1e-9))], purse, steps=5)
    assert purse.spent == 3 * 20 + 3 * 20 - 5


def test_a_longer_plan_is_held_against_the_end_of_the_shorter_one(course):
    begun = course(rate=0.1, epochs=2)
    run = Trial(begun)
    run.go_on(begun.steps)
    control, longer = Trial(run.here), run.here
    longer.epochs = 30
    ended = race(control, [candidate(longer)], Purse(steps=10_000), steps=20)
    assert control.step == begun.steps  # it stands where its plan ended
    assert len(ended.rows[0].scores) == 1
    assert ended.winner is not None
    assert ended.trial is not None
    assert ended.trial.step > begun.steps


def test_to_end_here_wins_only_where_going_on_is_worse(course):
    run = Trial(course(rate=0.1, epochs=20))
    run.go_on(30)
    here = run.here
    stop = run.here
    stop.ends = stop.done
    ruined = run.here
    ruined.scale_rates(1e4)
    assert race(Trial(here), [candidate(stop)], Purse(steps=9999), steps=15).winner is None
    won = race(Trial(ruined), [candidate(stop)], Purse(steps=9999), steps=5)
    assert won.winner is not None
    assert won.rows[1].steps == 0


@pytest.mark.parametrize("steps", [1, 3])
def test_a_race_of_few_steps_is_a_race(course, steps):
    ended = race(Trial(course()), [candidate(course())], Purse(steps=10_000), steps=steps)
    assert len(ended.rows) == 2


def test_of_those_that_fall_behind_no_model_is_held(course, monkeypatch):
    alive: weakref.WeakSet[Course] = weakref.WeakSet()
    most = 0

    class Heard(Purse):
        def pay(self, trial, until):
            nonlocal most
            super().pay(trial, until)
            most = max(most, len({id(each.model) for each in alive}))

    base = course(rate=1e-9)

    def begin():
        made = base.copy()
        alive.add(made)
        return made

    several = [Candidate(names=("a",), says=Phrase("as it is"), begin=begin) for _ in range(6)]
    ended = race(Trial(base), several, Heard(steps=10_000), steps=3)
    assert len(ended.rows) == 7
    # The better half, and the one that runs.
    assert most <= 4


def test_one_that_fell_behind_begins_anew_when_all_before_it_have_fallen(course):
    tried = [course(rate=0.2), course(rate=1e-9)]
    runners = Runners(Trial(course(rate=1e-9)), [candidate(each) for each in tried],
                      Purse(steps=1000), 0, until=24)  # fmt: skip
    assert [runners[place].gone for place in (0, 1)] == [False, True]
    straight = Trial(tried[1])
    straight.go_on(48)
    assert runners.following([1], 48) == [1]
    assert runners[1].judged() == straight.judged()


def test_what_does_not_suit_the_network_is_not_entered(course):
    def begin():
        raise ValueError("no layer of the kind")

    unfit = Candidate(names=("unfit",), says=Phrase("as it is"), begin=begin)
    ended = race(Trial(course()), [unfit, candidate(course())], Purse(steps=1000), steps=3)
    assert [each.names for each in ended.entered] == [("faster",)]
    assert len(ended.rows) == 2


def test_a_race_that_the_clock_cuts_short_has_no_winner(course):
    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(0.05)
            return x

    slow = course(nn.Sequential(Slow(), nn.Linear(4, 2)), rate=1e-9, epochs=100)
    began = time.perf_counter()
    ended = race(Trial(slow), [candidate(slow)], Purse(steps=10_000, seconds=0.4), steps=200)
    assert ended.winner is None
    assert 0 < ended.rows[0].steps < 200
    assert time.perf_counter() - began < 5


def test_smaller_batches_get_as_many_samples_as_the_control(course):
    begun, smaller = course(rate=1e-9), course(rate=1e-9)
    smaller.train = smaller.train.of_batch(begun.train.batch // 4)
    purse = Purse(steps=10_000)
    ended = race(Trial(begun), [candidate(smaller)], purse, steps=5)
    assert [row.steps for row in ended.rows] == [20, 80]
    assert purse.spent == 3 * 20 + 3 * 20  # counted in steps of the control
