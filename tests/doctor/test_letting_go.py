"""A watch keeps no batch for the run: what the check-up needed is let go when it is over."""

from __future__ import annotations

import gc
import weakref

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.setup import Setup


def test_the_first_batches_are_not_kept_for_the_whole_run():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    batches: list[weakref.ref[torch.Tensor]] = []
    with watch(model, optimizer) as doctor:
        for _ in range(6):
            x = torch.randn(16, 4)
            batches.append(weakref.ref(x))
            optimizer.zero_grad()
            F.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()
        del x
        gc.collect()
        assert [each() for each in batches] == [None] * 6
        setup = doctor.record().get(Setup)
        assert (setup.batch, setup.task) == (16, "classification")
        assert doctor.patient.sample.loss_call.name == "cross_entropy"


def test_a_segmentation_is_known_after_its_batch_is_gone():
    torch.manual_seed(0)
    model = nn.Conv2d(3, 4, 3, padding=1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer) as doctor:
        for _ in range(2):
            optimizer.zero_grad()
            x, y = torch.randn(4, 3, 8, 8), torch.randint(0, 4, (4, 8, 8))
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        assert doctor.record().get(Setup).task == "segmentation"
