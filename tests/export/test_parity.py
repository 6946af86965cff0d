"""Parity finds what differs, and says by how much."""

import math

import pytest
import torch

from netwright.export.parity import compare
from netwright.export.speed import milliseconds


def network(images):
    logits = images.flatten(1)[:, :3].float()
    return logits, logits.softmax(1)


def off_by(shift, *, only_batch=None):
    def file(images):
        logits, _ = network(images)
        if only_batch is None or len(images) == only_batch:
            logits = logits + torch.tensor([0.0, 0.0, shift])
        return logits, logits.softmax(1)

    return file


IMAGES = torch.arange(20.0).repeat_interleave(4).view(20, 1, 2, 2) + torch.tensor(
    [[2.0, 1], [0, 0]]
)


def test_the_same_program_is_at_parity():
    found = compare(network, network, IMAGES)
    assert (found.images, found.agree, found.batches) == (20, 20, (1, 2, 7))
    assert (found.max_abs_logits, found.max_abs_probability, found.holds) == (0, 0, True)
    assert found.largest_logit == 21


@pytest.mark.parametrize(("shift", "holds"), [(1e-4, True), (2.2e-3, False), (5.0, False)])
def test_a_difference_is_measured_against_the_largest_logit(shift, holds):
    found = compare(network, off_by(shift), IMAGES)
    assert found.max_abs_logits == pytest.approx(shift, rel=0.02)
    assert found.bound == pytest.approx(21e-4)
    assert found.holds is holds
    assert found.agree == (0 if shift > 2 else 20)


def test_a_fault_in_one_batch_size_is_found():
    assert not compare(network, off_by(1.0, only_batch=7), IMAGES).holds


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_never_at_parity(value):
    assert not compare(network, off_by(value), IMAGES).holds
    assert not compare(off_by(value), off_by(value), IMAGES).holds


def test_probabilities_are_held_too():
    def file(images):
        logits, probabilities = network(images)
        return logits, probabilities + 1e-3

    found = compare(network, file, IMAGES)
    assert found.max_abs_logits == 0
    assert not found.holds


def test_the_clock_leaves_the_threads_as_they_were():
    threads = torch.get_num_threads()
    taken = milliseconds({"a": network, "b": network}, IMAGES[:8])
    assert torch.get_num_threads() == threads
    assert all(each > 0 for each in taken.values())
