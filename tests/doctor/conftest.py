"""A network goes in, the findings of one condition come out, each held against its contract."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosing import diagnose
from netwright.inspection.tracing import trace
from netwright.records.findings import Finding
from netwright.records.inspection import InspectionRecord
from netwright.testing.contracts import check_finding

Shape = tuple[int, ...]
Diagnosed = Callable[..., list[Finding]]


def inspected(model: nn.Module, *shapes: Shape, training: bool = False) -> InspectionRecord:
    model.train(training)
    inputs: tuple[Any, ...] = tuple(torch.zeros(shape) for shape in shapes)
    return trace(model, inputs, {}, training=training)


@pytest.fixture
def diagnosed() -> Diagnosed:
    """What the conditions find in a network given inputs of these shapes; with `of`, one alone."""

    def look(
        model: nn.Module, *shapes: Shape, of: str | None = None, training: bool = False
    ) -> list[Finding]:
        found = diagnose(inspected(model, *shapes, training=training))
        for each in found:
            check_finding(CONDITIONS.get(each.name), each)
        return [each for each in found if of in (None, each.name)]

    return look
