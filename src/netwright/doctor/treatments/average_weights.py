"""The mean of the weights over the last steps, in the place of the last weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MEMORIES = (50, 200)
"""Steps that the mean goes back over."""


class Averaged(nn.Module):
    """A network that trains as it is, and answers by the running mean of its weights.

    mean_t = mean_(t-1) + (weights - mean_(t-1)) / min(t, memory), taken at each pass in training
    mode, that is after the step before it. Buffers, such as the statistics of batch norm, are
    averaged alike where they are floating.

    Source: Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging.
    """

    steps: torch.Tensor

    def __init__(self, network: nn.Module, memory: int) -> None:
        super().__init__()
        self.network = network
        self.memory = memory
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        if not self.training:
            return self.mean.eval()(*inputs, **named)
        with torch.no_grad():
            self.steps += 1
            weight = 1.0 / min(int(self.steps), self.memory)
            mine = (*self.mean.parameters(), *self.mean.buffers())
            theirs = (*self.network.parameters(), *self.network.buffers())
            for mean, now in zip(mine, theirs, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, weight)
                else:
                    mean.copy_(now)
        return self.network(*inputs, **named)


@TREATMENTS.register("average-weights", grade="ask", cures=("noisy-gradients", "oscillating-loss"))
def average_weights(course: Course, finding: Finding) -> Iterator[Plan]:
    """Answers by the mean of the weights over some fifty or two hundred steps."""
    if any(isinstance(each, Averaged) for each in course.model.modules()):
        return
    for memory in MEMORIES:
        yield Plan(
            says=Phrase("mean of the weights over {steps} steps", steps=memory),
            apply=lambda made, memory=memory: made.replace_modules(  # type: ignore[misc]
                {"": Averaged(made.model, memory)}
            ),
        )
