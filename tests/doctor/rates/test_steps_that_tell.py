"""Causes that the steps themselves tell: weights overwritten, gradients killed, ends at the peak,
weights loaded again and again, noise, want of capacity; and the same where it did no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from netwright.doctor.conditions import _harm, _too_high
from netwright.doctor.conditions._course import course
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.learnable import Learnable
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.restarts import RestartFact, Restarts
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.facts.unread import Unread
from netwright.records.record import Record

GUESS = 2.2
CLASSES = Objective(
    kind="cross_entropy", input_shape=(64, 10), target_shape=(64,), classes=10,
    losses=(2.3, 2.3, 2.3), constant=GUESS, factor=1.0,
)  # fmt: skip
UNKNOWN = np.nan


def told(losses, **columns):
    """The steps of a run with these losses; a column is one value or one for each step."""
    count = len(losses)
    given = {"lr": 0.1, **columns}
    spread = {n: np.broadcast_to(np.asarray(v, dtype=float), count) for n, v in given.items()}
    return Steps(
        step=np.arange(1.0, count + 1), loss=np.asarray(losses, dtype=float), total=count, **spread
    )


def trials(one, tenth, *, steps=(60, 60), rising=0.0):
    """The end of the batch at the rate and at a tenth of it, from 2.3."""
    return Fit(
        trials=(
            FitTrial(factor=1.0, steps=steps[0], start=2.3, end=one, rising=rising),
            FitTrial(factor=0.1, steps=steps[1], start=2.3, end=tenth),
        ),
        batch=64,
        constant=GUESS,
    )


def at_first(value, rest, count, first=3):
    """`value` at the first steps, `rest` at the others."""
    return np.concatenate([np.full(first, float(value)), np.full(count - first, float(rest))])


def level(count=200, loss=2.3):
    """A loss that goes nowhere."""
    return loss + 0.01 * np.sin(np.arange(count))


# Long first steps


def signals(found):
    return [str(each.signal) for each in found.evidence]


def test_weights_that_a_step_overwrites_speak_for_a_rate_that_is_too_high(small):
    steps = told(level(), update_ratio=at_first(0.6, 1e-3, 200))
    said = small.judged(Record([steps, CLASSES, trials(2.3, 0.1)]))
    assert small.root(said) == "learning-rate-too-high"
    assert _too_high._overwritten(steps).value == pytest.approx(0.6)


def test_one_step_half_as_long_as_the_weights_overwrites_nothing():
    once = np.full(200, 1e-3)
    once[0] = 0.6
    assert _too_high._overwritten(told(level(), update_ratio=once)) is None
    once[0] = 1.1  # twice as long: once does
    assert _too_high._overwritten(told(level(), update_ratio=once)) is not None


def test_overwritten_weights_that_learn_all_the_same_are_no_finding(small):
    steps = told(np.geomspace(2.3, 0.05, 200), update_ratio=at_first(0.6, 1e-2, 200))
    assert small.alarms(small.judged(Record([steps, CLASSES, trials(0.1, 0.1)]))) == []


def killed(losses):
    count = len(losses)
    norms = at_first(5.0, 1e-6, count)
    ratios = at_first(0.2, 1e-9, count)
    return told(losses, update_ratio=ratios, grad_norm=norms, raw_grad_norm=norms)


def test_a_network_killed_by_its_first_steps_has_hardly_a_gradient_left(small):
    steps = killed(level())
    record = Record([steps, CLASSES, trials(2.3, 0.1)])
    assert _too_high._killed(steps, course(record)).baseline == 5.0
    assert small.root(small.judged(record)) == "learning-rate-too-high"


def test_hardly_a_gradient_left_because_all_is_learned_is_no_killing(small):
    steps = killed(np.concatenate([np.geomspace(2.3, 0.01, 60), np.full(140, 0.01)]))
    record = Record([steps, CLASSES, trials(0.1, 0.1)])
    assert _too_high._killed(steps, course(record)) is None
    assert small.alarms(small.judged(record)) == []


def test_a_tenth_of_the_rate_that_fits_a_batch_far_sooner_tells_of_the_rate(small):
    up_and_down = 1.0 + 0.5 * np.sin(np.arange(240) / 6)
    fit = trials(0.5, 0.1, steps=(60, 18), rising=0.4)
    record = Record([told(up_and_down), CLASSES, fit])
    assert _too_high._sooner_at_a_tenth(record).baseline == 18
    assert small.root(small.judged(record)) == "learning-rate-too-high"


@pytest.mark.parametrize(
    "fit",
    [
        trials(0.5, 0.1, steps=(60, 18), rising=0.05),
        trials(0.12, 0.1, steps=(60, 18), rising=0.4),
        trials(0.5, 0.1, steps=(60, 40), rising=0.4),
        trials(0.5, 2.2, steps=(60, 18), rising=0.4),
    ],
    ids=["its steps go down", "as low as at a tenth", "hardly later", "not fitted at a tenth"],
)
def test_a_tenth_that_is_only_a_little_better_tells_nothing(fit):
    assert _too_high._sooner_at_a_tenth(Record([told(level()), CLASSES, fit])) is None


# A plan that ends at its peak


def cosine(count=200, peak=0.1):
    return peak * (0.505 + 0.495 * np.cos(2 * np.pi * np.arange(count) / count))


def back_up(foot, end):
    """A loss that falls with the rate and comes up with it again."""
    return np.concatenate([np.geomspace(2.3, foot, 100), np.geomspace(foot, end, 100)])


def test_a_run_that_ends_at_its_peak_rate_gives_back_what_it_had(small):
    record = Record([told(back_up(0.4, 1.2), lr=cosine()), CLASSES, Loop(steps=200, ended=True)])
    said = small.judged(record)
    assert "scheduler-misuse" in small.alarms(said)
    assert "ended at its peak" in str(said.named("scheduler-misuse").what)


@pytest.mark.parametrize(
    ("losses", "lr", "ended"),
    [
        (np.geomspace(2.3, 0.3, 200), cosine(), True),
        (back_up(0.01, 0.03), cosine(), True),
        (back_up(0.4, 1.2), cosine(), False),
        (back_up(0.4, 1.2), 0.1, True),
    ],
    ids=["nothing was undone", "done all the same", "cut short", "a constant rate"],
)
def test_the_end_of_a_plan_is_no_fault_where_it_costs_nothing(small, losses, lr, ended):
    record = Record([told(losses, lr=lr), CLASSES, Loop(steps=200, ended=ended)])
    assert small.judged(record).named("scheduler-misuse") is None


def epochs(losses, every=20):
    return Epochs(
        epochs=tuple(
            EpochFact(epoch=at, step=every * at, train_loss=loss, val_loss=val, val_loss_error=0.01)
            for at, (loss, val) in enumerate(losses, start=1)
        )
    )


def test_an_end_at_the_peak_is_told_by_the_validation_alone(small):
    falls = np.geomspace(2.3, 0.3, 200)
    seen = epochs([(1.0, each) for each in (2.0, 1.5, 0.9, 0.6, 0.5, 0.55, 0.7, 0.9, 1.1, 1.3)])
    record = Record([told(falls, lr=cosine()), CLASSES, Loop(steps=200, ended=True), seen])
    assert "scheduler-misuse" in small.alarms(small.judged(record))
    kept = epochs([(1.0, each) for each in (2.0, 1.5, 0.9, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)])
    record = Record([told(falls, lr=cosine()), CLASSES, Loop(steps=200, ended=True), kept])
    assert small.judged(record).named("scheduler-misuse") is None


# Weights that are loaded


def loaded(count, before, after, optimizer=False):
    return Restarts(
        restarts=tuple(
            RestartFact(step=20 * at, before=before, after=after, spread=0.1, optimizer=optimizer)
            for at in range(1, count + 1)
        )
    )


def in_waves(count=8, every=20):
    return np.concatenate([np.linspace(2.0, 1.5, every) for _ in range(count)])


def test_weights_loaded_every_epoch_that_lose_what_was_gained_are_a_fault(small):
    seen = epochs([(1.7, None)] * 8)
    record = Record([told(in_waves()), CLASSES, loaded(7, 1.5, 2.0), seen])
    said = small.judged(record)
    assert "nondeterministic-restart" in small.alarms(said)
    assert "7 times" in str(said.named("nondeterministic-restart").what)


@pytest.mark.parametrize(
    "restarts",
    [loaded(3, 1.5, 2.0), loaded(7, 1.5, 1.4), loaded(7, 1.5, 1.55)],
    ids=["three folds", "the best weights come back", "within the spread"],
)
def test_weights_loaded_for_a_reason_are_none(small, restarts):
    seen = epochs([(1.7, None)] * 8)
    record = Record([told(in_waves()), CLASSES, restarts, seen])
    assert "nondeterministic-restart" not in small.alarms(small.judged(record))


# Noise


def noisy(losses, batch=4, **more):
    steps = told(losses, promised=1.0, fallen=0.8, update_ratio=0.02, **more)
    objective = replace(CLASSES, input_shape=(batch, 10), target_shape=(batch,), constant=None)
    return Record(
        [steps, objective, Setup(model="Sequential", params=100, trainable=100, batch=batch)]
    )


def test_batches_of_four_that_undo_each_other_are_too_small(small):
    said = small.judged(noisy(np.linspace(2.4, 2.45, 400)))
    assert "noisy-gradients" in small.alarms(said)


def test_a_loss_that_fell_and_ends_above_its_beginning_is_lost_all_the_same(small):
    rises = np.concatenate([np.linspace(2.3, 4.0, 200), np.linspace(4.0, 3.6, 200)])
    assert "noisy-gradients" in small.alarms(small.judged(noisy(rises)))


@pytest.mark.parametrize(
    ("losses", "batch"),
    [(np.geomspace(2.3, 0.6, 400), 4), (level(400, 2.4), 64), (level(250, 2.4), 4)],
    ids=["it falls", "a batch of 64", "before 300 steps"],
)
def test_small_batches_that_do_their_work_are_no_finding(small, losses, batch):
    assert small.judged(noisy(losses, batch)).named("noisy-gradients") is None


# Want of capacity


def flat(update_ratio, rho, loss=1.6):
    steps = told(level(400, loss), promised=1.0, fallen=rho, update_ratio=update_ratio, lr=0.1)
    seen = epochs([(loss, loss)] * 8, every=50)
    return Record([steps, CLASSES, trials(0.1, 0.1), seen])


def test_a_loss_that_stands_above_half_of_guessing_is_a_note(small):
    """Noisy labels that are learned as well as can be end like that: nothing shows that more could
    be had."""
    said = small.judged(flat(1e-2, 0.5))
    assert said.named("underfitting").severity == "note"
    assert "underfitting" not in small.alarms(said)


def test_one_that_a_plain_network_comes_below_is_underfitting(small):
    better, as_good = (Learnable(unseen=each, guess=2.3) for each in (0.6, 2.2))
    assert "underfitting" in small.alarms(small.judged(flat(1e-2, 0.5).with_facts(better)))
    assert "underfitting" not in small.alarms(small.judged(flat(1e-2, 0.5).with_facts(as_good)))


def test_a_run_that_is_merely_slow_does_not_underfit(small):
    """Steps do what they promise, and all of them moved the weights by less than a third."""
    assert small.judged(flat(5e-4, 0.99)).named("underfitting") is None
    assert small.judged(flat(1e-2, 0.99)).named("underfitting") is not None


def test_inputs_that_half_go_unread_are_a_bottleneck_and_a_head_of_zeros_reads_none_yet(small):
    def read(idle):
        unread = Unread(idle=idle, varied=12, change=0.0, example=(0,))
        found = flat(1e-2, 0.5).with_facts(Learnable(unseen=0.6, guess=2.3), unread)
        return small.alarms(small.judged(found))

    assert "bottleneck" in read(8)
    assert "bottleneck" not in read(12)


# Few looks


def uphill(looks, worse):
    rho = np.full(looks, 0.8)
    rho[:worse] = -0.5
    return Record([told(level(looks), promised=1.0, fallen=rho)])


@pytest.mark.parametrize(
    ("looks", "worse", "harmful"),
    [(6, 3, False), (40, 20, True), (6, 6, True), (4, 4, False), (40, 12, False)],
)
def test_few_looks_must_be_clearer_than_many(looks, worse, harmful):
    """Three of six may be chance where a quarter of all steps goes uphill; twenty of forty not."""
    assert (_harm.backward_steps(uphill(looks, worse)) is not None) == harmful


def climbing(looks):
    """A loss that is raised on purpose: steps on the way up are descents."""
    losses = np.concatenate([np.geomspace(2.3, 0.2, 120), np.geomspace(0.2, 30.0, 120)])
    rho = np.full(240, UNKNOWN)
    rho[-5 * looks :: 5] = 0.7
    squares = replace(CLASSES, kind="mse_loss", classes=None)
    return Record([told(losses, promised=1.0, fallen=rho), squares])


def test_three_looks_at_descents_are_enough_to_call_a_raised_loss_no_divergence(small):
    assert "divergence" not in small.alarms(small.judged(climbing(3)))
    assert "divergence" in small.alarms(small.judged(climbing(2)))


# The same in real loops


def test_a_cosine_of_half_the_length_ends_where_it_began(small):
    said = small.run(
        lambda: small.mlp(64, 64), small.sgd(0.9, 0.9), steps=240, batch=16,
        schedule=lambda made: CosineAnnealingLR(made, 120),
    )  # fmt: skip
    whole = small.run(
        lambda: small.mlp(64, 64), small.sgd(0.9, 0.9), steps=240, batch=16,
        schedule=lambda made: CosineAnnealingLR(made, 240),
    )  # fmt: skip
    assert "scheduler-misuse" not in small.alarms(whole)
    assert small.alarms(said) != []


def test_a_network_of_relus_that_long_steps_kill_is_found(small):
    torch.manual_seed(0)
    said = small.run(lambda: small.mlp(32, 32), small.sgd(30.0), steps=120)
    assert small.root(said) == "learning-rate-too-high"
    assert isinstance(small.mlp()[0], nn.Linear)


# A leap where weights were loaded


def leap():
    """A level of 0.4 until step 100, then far up, and never back."""
    return np.concatenate([np.geomspace(2.3, 0.4, 60), level(40, 0.4), level(150, 1.9)])


def test_a_leap_is_thrown_by_a_step_unless_weights_were_loaded_there(small):
    steps = told(leap())
    assert "loss-spike" in small.alarms(small.judged(Record([steps, CLASSES])))
    there = RestartFact(step=100, before=0.4, after=1.9, spread=0.01)
    said = small.judged(Record([steps, CLASSES, Restarts(restarts=(there,))]))
    assert "loss-spike" not in [each.name for each in said.findings]
    assert said.named("nondeterministic-restart") is not None
    long_before = replace(there, step=40)
    said = small.judged(Record([steps, CLASSES, Restarts(restarts=(long_before,))]))
    assert "loss-spike" in small.alarms(said)
