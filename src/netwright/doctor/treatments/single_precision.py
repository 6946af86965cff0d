"""All of it in single precision."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

NARROW = (torch.float16, torch.bfloat16)


class InSingle(nn.Module):
    """A network in single precision that takes inputs of any."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.network(single(inputs))
        return outputs


def single(values: Tensor) -> Tensor:
    return values.float() if values.dtype in NARROW else values


def single_target(inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """A change of the data: what is compared with the outputs has their precision."""
    return inputs, single(target)


@TREATMENTS.register(
    "single-precision", grade="ask", cures=("nonfinite", "mixed-precision-trouble")
)
def single_precision(course: Course, finding: Finding) -> Iterator[Plan]:
    """Weights, buffers and what comes in as float32, where they are narrower.

    Source: Micikevicius et al. 2018, Mixed precision training, section 3.1: weights are kept in
    single precision.
    """
    inputs, target = next(iter(course.train.batches()))
    tensors = (*course.model.parameters(), *course.model.buffers(), inputs, target)
    if any(each.dtype in NARROW for each in tensors):
        yield Plan(says=Phrase("weights and inputs in single precision"), apply=_single)


def _single(course: Course) -> None:
    for each in (*course.model.parameters(), *course.model.buffers()):
        each.data = single(each.data)
    for state in course.optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, Tensor):
                state[name] = single(value)
    course.replace_modules({"": InSingle(course.model)})
    course.train = course.train.changed(single_target)
    course.val = course.val.changed(single_target)
