"""A loss is looked at before the first step; each finding is held against its contract."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.failing import failure_of
from netwright.doctor.patient import Patient, noted
from netwright.doctor.probes import PROBES
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.tape import Tape
from netwright.records.record import Record
from netwright.testing.contracts import check_finding

OURS = ("objective", "pull", "labels", "reach", "mixing", "wanted")
"""The probes of this group; those of others have their own tests."""

Looked = Callable[..., Diagnosis]


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def probed(model: nn.Module, loss_fn: Any, inputs: Any, target: Any, **known: Any) -> Record:
    args: Sequence[Any] = inputs if isinstance(inputs, tuple) else (inputs,)
    optimizer = torch.optim.SGD(list(model.parameters()), lr=0.1)
    patient = Patient(
        model=model, optimizers=(optimizer,), setup=setup_of(model, [optimizer]), **known
    )
    patient.samples.append(noted(model, loss_fn, args, target))
    facts = [patient.setup]
    for name in OURS:
        entry = PROBES.get(name)
        if all(getattr(patient, need) for need in entry.facts.get("needs", ())):
            facts += entry.target(patient)
    return Record(facts)


def judged(record: Record) -> Diagnosis:
    found = diagnosed(record)
    for each in found.findings:
        check_finding(CONDITIONS.get(each.name), each)
    return found


@pytest.fixture
def looked() -> Looked:
    """What is found in `loss_fn(model(inputs), target)` before the first step."""

    def look(model: nn.Module, loss_fn: Any, inputs: Any, target: Any, **known: Any) -> Diagnosis:
        return judged(probed(model, loss_fn, inputs, target, **known))

    return look


@pytest.fixture
def judge() -> Callable[..., Diagnosis]:
    """What is found in a record of these facts."""
    return lambda *facts: judged(Record(facts))


@pytest.fixture
def crashed() -> Looked:
    """What is found where `loss_fn(model(inputs), target)`, or its backward pass, raises."""

    def look(model: nn.Module, loss_fn: Any, inputs: Any, target: Any) -> Diagnosis:
        tape = Tape()
        with pytest.raises((RuntimeError, IndexError, ValueError)) as caught:
            noted(model, loss_fn, (inputs,), target, tape=tape).objective.loss.backward()
        fact = failure_of(caught.value, tape)
        return judged(Record([fact] if fact is not None else []))

    return look
