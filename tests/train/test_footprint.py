"""How much memory training takes is counted before anything is allocated for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netwright.core.config import build
from netwright.optim.optimizers import OPTIMIZERS
from netwright.train import footprint
from netwright.train.footprint import bytes_needed, fits, state_copies

ELEMENTWISE = sorted(n for n in OPTIMIZERS.names() if not OPTIMIZERS.get(n).facts.get("closure"))
COPIES = {"sgd": 1, "adam": 2, "adamw": 2, "nadam": 2, "adagrad": 1, "adadelta": 2}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_numbers_an_optimizer_keeps_are_those_of_a_real_step(name):
    entry = OPTIMIZERS.get(name)
    options = build(entry.options, {}, prefix="optim.")
    found = state_copies(lambda groups: entry.target(groups, options))
    assert found == COPIES.get(name, found)
    model = nn.Linear(30, 20)
    optimizer = entry.target([{"params": list(model.parameters())}], options)
    model(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    held = sum(
        each.nbytes for state in optimizer.state.values() for each in state.values()
        if isinstance(each, torch.Tensor) and each.ndim
    )  # fmt: skip
    assert bytes_needed(model, found) == 2 * 4 * 620 + held


def test_what_is_free_is_shared_by_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(footprint, "available_bytes", lambda: 1000)
    cpu = torch.device("cpu")
    assert fits(800, cpu, 1)
    assert not fits(801, cpu, 1)
    assert not fits(800, cpu, 2)
