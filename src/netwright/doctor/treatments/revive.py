"""Units that answer to no sample drawn anew."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._dead import dead_units
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

GAIN = math.sqrt(2)


@TREATMENTS.register("revive", grade="ask", cures=("dead-relu",))
def revive(course: Course, finding: Finding) -> Iterator[Plan]:
    """The dead units alone get new weights by He and a bias of zero; the living stay as they are.

    What the next layer made of them stays too: it was adding zeros, and learns what they are now
    worth. Optimizer moments of the layers begin anew.

    Source: He et al. 2015; Sokar et al. 2023, The dormant neuron phenomenon, algorithm 1.
    """
    count = sum(int(dead.sum()) for dead in dead_units(course).values())
    if not count:
        return
    yield Plan(says=Phrase("{count} dead units drawn anew", count=count), apply=_revive)
    yield Plan(
        says=Phrase(
            "{first}; learning rate x {rate}",
            first=Phrase("{count} dead units drawn anew", count=count),
            rate=0.1,
        ),
        apply=_revive_slowly,
    )


def _revive_slowly(course: Course) -> None:
    _revive(course)
    course.scale_rates(0.1)


@torch.no_grad()
def _revive(course: Course) -> None:
    modules = dict(course.model.named_modules())
    for path, dead in dead_units(course).items():
        layer = modules[path]
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, nn.Parameter)
        fresh = torch.randn_like(weight) * (GAIN / math.sqrt(weight[0].numel()))
        weight[dead] = fresh[dead]
        course.optimizer.state.pop(weight, None)
        if isinstance(bias, nn.Parameter):
            bias[dead] = 0.0
            course.optimizer.state.pop(bias, None)
