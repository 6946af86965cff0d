"""The running accuracy of training counts what comparing batch by batch would."""

import pytest
import torch

from netwright.tasks.tally import Tally


@pytest.mark.parametrize("sizes", [(3,), (64, 64, 1), (7,) * 300, (5000, 2)])
def test_the_share_is_that_of_a_comparison_batch_by_batch(sizes):
    generator = torch.Generator().manual_seed(len(sizes))
    tally, right = Tally(), 0
    for size in sizes:
        logits = torch.randn(size, 10, generator=generator)
        target = torch.randint(0, 10, (size,), generator=generator)
        tally.add(logits, target)
        right += int((logits.argmax(1) == target).sum())
    assert tally.take() == right / sum(sizes)
    assert tally.take() is None


def test_a_tally_goes_on_from_its_state():
    first, second = Tally(), Tally()
    logits = torch.eye(4)
    first.add(logits, torch.tensor([0, 1, 2, 0]))
    second.load_state_dict(first.state_dict())
    for each in (first, second):
        each.add(logits, torch.tensor([1, 1, 1, 1]))
    assert first.take() == second.take() == 4 / 8


def test_taking_up_a_state_forgets_what_was_waiting():
    tally = Tally()
    tally.add(torch.eye(2), torch.tensor([0, 1]))
    tally.load_state_dict({"right": 1, "seen": 4})
    assert tally.take() == 0.25
