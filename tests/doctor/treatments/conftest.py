"""Small trainings to treat, and the plans of one treatment for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.records.findings import Finding
from netwright.testing.treatments import finding_of

Plans = Callable[..., list[Plan]]


@pytest.fixture
def begun() -> Callable[..., Course]:
    """A course of a model, a loss, inputs and targets, in batches of 16."""

    def make(model: nn.Module, loss: Any, x: Any, y: Any, val: Any = None) -> Course:
        optimizer = torch.optim.SGD([*model.parameters()] or [nn.Parameter(torch.ones(1))], lr=0.1)
        data = torch.utils.data.TensorDataset(x, y)
        train = torch.utils.data.DataLoader(data, batch_size=16)
        return course_of(model, optimizer, loss, train, val or (x, y), 2, None)

    return make


@pytest.fixture
def plans() -> Plans:
    """The plans of a treatment for a finding of that name."""

    def make(course: Course, treatment: str, condition: str, code: str = "") -> list[Plan]:
        finding = finding_of(condition, treatment, course)
        if code:
            finding = _with_code(finding, code)
        return list(TREATMENTS.get(treatment).target(course, finding))

    return make


def _with_code(finding: Finding, code: str) -> Finding:
    treatment = dataclasses.replace(finding.treatments[0], code=code)
    return dataclasses.replace(finding, treatments=(treatment,))


@pytest.fixture
def treated(plans: Plans) -> Callable[..., Course]:
    """A copy of the course after one plan, the first if none is named."""

    def make(
        course: Course, treatment: str, condition: str, place: int = 0, code: str = ""
    ) -> Course:
        made = course.copy()
        plans(course, treatment, condition, code)[place].apply(made)
        return made

    return make
