"""A framework's loop is watched like a plain one: the same bits, the same steps, the same
faults."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.schedule import Schedule
from netwright.records.facts.steps import Steps

KINDS = {"dropout": 0.1, "norm": True}


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[each], other[each]) for each in one)


def test_a_healthy_training_computes_the_same_bits_and_nothing_is_said(framework, trained):
    alone = trained(framework, watched=False, **KINDS)
    watched = trained(framework, **KINDS)
    assert same_bits(alone.state, watched.state)
    assert alone.score == watched.score
    assert watched.findings == []


FIRST = {
    "softmax": "softmax-before-cross-entropy",
    "rate": "learning-rate-too-high",
    "unscaled": "unscaled-input",
    "alike": "symmetric-initialisation",
}


SOME = {
    "lightning": ("softmax", "alike"),
    "fabric": ("rate", "unscaled"),
    "accelerate": ("softmax", "unscaled"),
    "hf": ("rate", "alike"),
}
"""Each framework with two of the faults, each fault in two of the frameworks."""


@pytest.mark.parametrize(
    ("framework", "fault"),
    [(framework, fault) for framework, faults in SOME.items() for fault in faults],
)
def test_a_fault_has_the_findings_of_the_plain_loop(trained, framework, fault):
    plain = trained("plain", fault)
    found = trained(framework, fault)
    assert plain.findings[0][1] == FIRST[fault]
    assert found.findings == plain.findings


def test_every_step_and_every_epoch_is_seen(framework, trained):
    plain, found = trained("plain"), trained(framework)
    assert same_bits(plain.state, found.state)
    assert found.record.get(Steps).total == plain.record.get(Steps).total == 48
    assert np.array_equal(found.record.get(Steps).loss, plain.record.get(Steps).loss)
    assert np.array_equal(found.record.get(Steps).epoch, plain.record.get(Steps).epoch)
    epochs = found.record.get(Epochs).epochs
    assert [each.val_loss for each in epochs] == pytest.approx(
        [each.val_loss for each in plain.record.get(Epochs).epochs]
    )
    assert [each.step for each in epochs] == [8, 16, 24, 32, 40, 48]


def test_accumulated_gradients_are_one_step(framework, trained):
    plain, found = trained("plain", accumulate=4), trained(framework, accumulate=4)
    assert found.findings == plain.findings == []
    for each in (plain, found):
        loop = each.record.get(Loop)
        assert (loop.steps, loop.backwards, loop.stale_starts) == (12, 48, 0)
    assert np.allclose(found.record.get(Steps).loss, plain.record.get(Steps).loss, rtol=1e-6)


def test_accumulation_hides_no_fault(framework, trained):
    plain = trained("plain", "softmax", accumulate=4)
    assert trained(framework, "softmax", accumulate=4).findings == plain.findings
    assert plain.findings[0] == ("stop", "softmax-before-cross-entropy")


def test_half_precision_is_no_fault_and_hides_none(framework, trained):
    alone = trained(framework, bf16=True, watched=False, **KINDS)
    healthy = trained(framework, bf16=True, **KINDS)
    assert same_bits(alone.state, healthy.state)
    assert healthy.findings == []
    plain, found = trained("plain", "softmax", bf16=True), trained(framework, "softmax", bf16=True)
    assert plain.findings[0] == found.findings[0] == ("stop", "softmax-before-cross-entropy")


def test_a_bad_value_in_a_batch_is_found_where_it_comes_in(framework, trained):
    found, plain = trained(framework, broken=True), trained("plain", broken=True)
    place = found.record.get(NonFinite)
    assert place.step == plain.record.get(NonFinite).step == 3  # sample 77, of batches of 32
    assert ("stop", "nonfinite") in plain.findings
    if framework == "hf":  # its data are of a class of the user's, and never read a second time
        assert found.findings[0] == ("stop", "nonfinite")
    else:
        assert found.findings == plain.findings


def test_the_plan_of_the_rates_is_known(framework, trained):
    found = trained(framework, schedule=True).record
    assert found.get(Loop).scheduler_steps == 48
    assert not found.get(Loop).scheduler_before_optimizer
    rates = found.get(Steps).lr
    assert (rates[0], rates[-1]) == (pytest.approx(0.3), pytest.approx(0.3 / 48, rel=0.1))
    assert found.get(Schedule).rates[:48] == pytest.approx(rates)


@pytest.mark.parametrize("framework", ["lightning", "fabric"])
def test_a_scaler_of_the_loss_changes_no_number_and_no_finding(framework, trained):
    plain, found = trained("plain", scaled=True), trained(framework, scaled=True)
    assert plain.record.get(Steps).loss.max() < 2  # not 65,536 times as much
    assert np.allclose(found.record.get(Steps).loss, plain.record.get(Steps).loss, rtol=1e-3)
    assert found.findings == plain.findings == []
    sick = trained(framework, "softmax", scaled=True)
    assert sick.findings == trained("plain", "softmax", scaled=True).findings
    assert sick.findings[0] == ("stop", "softmax-before-cross-entropy")
