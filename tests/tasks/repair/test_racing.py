"""What counts as better: more than the spread over seeds, and more than the luck of the samples."""

from __future__ import annotations

import math

from netwright.tasks.repair.jobs import Mark
from netwright.tasks.repair.racing import _won, at


def marks(*scores, doubt=0.0):
    return [Mark(step=50, score=each, doubt=doubt) for each in scores]


def test_a_lead_must_be_larger_than_the_spread():
    assert _won(marks(0.9, 0.91, 0.92), marks(0.5, 0.51, 0.52))
    assert not _won(marks(0.60, 0.40, 0.53), marks(0.5, 0.51, 0.49))


def test_of_one_seed_it_must_be_larger_than_the_luck_of_the_samples():
    assert _won(marks(0.54, doubt=0.01), marks(0.5, doubt=0.01))
    assert not _won(marks(0.51, doubt=0.01), marks(0.5, doubt=0.01))


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
