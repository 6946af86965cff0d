"""What the adaptive optimizers do beside their rules (test_every_rule_by_hand.py)."""

import pytest
import torch
from torch import nn

from netwright.optim.optimizers import OPTIMIZERS


@pytest.mark.parametrize(
    ("name", "fact"),
    [("adagrad", "fused"), ("rmsprop", "foreach"), ("adadelta", "foreach"), ("nadam", "foreach")],
)
def test_it_takes_the_form_that_measured_faster(name: str, fact: str) -> None:
    entry = OPTIMIZERS.get(name)
    assert entry.options is not None
    weight = nn.Parameter(torch.ones(2))
    made = entry.target([{"params": [weight], "weight_decay": 0.0}], entry.options())
    assert made.defaults[fact] is True


def test_adagrads_steps_shrink_with_the_root_of_their_number() -> None:
    entry = OPTIMIZERS.get("adagrad")
    assert entry.options is not None
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = entry.target([{"params": [weight], "weight_decay": 0.0}], entry.options(lr=1.0))
    steps = []
    for _ in range(100):
        before = weight.item()
        weight.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        steps.append(before - weight.item())
    assert steps[0] / steps[99] == pytest.approx(10)
