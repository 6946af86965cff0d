"""Small runs in plain loops, watched from their first step, and what is said of them."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.watch import watch
from netwright.records.record import Record
from netwright.testing.conditions import check_finding

CLASSES = 4

generator = torch.Generator().manual_seed(0)
CENTRES = torch.randn(CLASSES, 16, generator=generator)
TARGETS = torch.randint(0, CLASSES, (512,), generator=generator)
INPUTS = CENTRES[TARGETS] + 1.2 * torch.randn(512, 16, generator=generator)
NUMBERS = INPUTS @ torch.randn(16, 1, generator=generator) / 4

Step = Callable[[int, nn.Module, Optimizer], None]


def mlp(*widths: int, act: type[nn.Module] = nn.ReLU, drop: float = 0.0, bn: bool = False) -> Any:
    """A perceptron from 16 numbers through `widths` to the logits."""
    layers: list[nn.Module] = []
    sizes = (16, *(widths or (32, 32)))
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if bn else []), act()]
        layers += [nn.Dropout(drop)] if drop else []
    return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))


def filled(model: nn.Module, weight: Callable[[Tensor], Any], bias: float | None = None) -> Any:
    """The model with other weights in all its linear layers."""
    for each in model.modules():
        if isinstance(each, nn.Linear):
            weight(each.weight)
            if bias is not None:
                nn.init.constant_(each.bias, bias)
    return model


def run(
    model: Callable[[], nn.Module],
    optimizer: Callable[..., Optimizer],
    *,
    steps: int = 120,
    batch: int = 32,
    seed: int = 0,
    inputs: Tensor = INPUTS,
    targets: Tensor = TARGETS,
    loss: Callable[..., Tensor] = F.cross_entropy,
    schedule: Callable[[Optimizer], Any] | None = None,
    clip: float | None = None,
    before: Callable[[int, Optimizer], None] | None = None,
    accumulate: int = 1,
    every: int = 4,
    plan: int | None = None,
) -> Diagnosis:
    torch.manual_seed(seed)
    network = model()
    made = optimizer([p for p in network.parameters() if p.requires_grad])
    scheduler = schedule(made) if schedule is not None else None
    with watch(network, made, every=every) as doctor:
        patient = doctor.patient
        patient.setup = replace(
            patient.setup,
            batch=batch,
            planned_steps=plan,
            train_samples=len(inputs),
            steps_per_epoch=len(inputs) // batch,
        )
        patient.schedulers = (scheduler,) if scheduler is not None else ()
        for step in range(steps):
            if before is not None:
                before(step, made)
            chosen = torch.randint(0, len(inputs), (batch,)) if batch < len(inputs) else slice(None)

            def closure(chosen: Any = chosen) -> Tensor:
                made.zero_grad()
                for _ in range(accumulate):
                    value = loss(network(inputs[chosen]), targets[chosen]) / accumulate
                    value.backward()
                return value

            if isinstance(made, torch.optim.LBFGS):
                made.step(closure)
                continue
            closure()
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            made.step()
            if scheduler is not None:
                scheduler.step()
        assert doctor.watcher.fault == ""
        return judged(doctor.record())  # fmt: skip


def judged(record: Record) -> Diagnosis:
    """The diagnosis, with every finding held against its contract."""
    diagnosis = diagnosed(record)
    for each in diagnosis.findings:
        check_finding(CONDITIONS.get(each.name), each)
    return diagnosis


def alarms(diagnosis: Diagnosis) -> list[str]:
    return [each.name for each in diagnosis.findings if each.severity != "note"]


def root(diagnosis: Diagnosis) -> str:
    """The first of the alarms: what the others follow from."""
    return alarms(diagnosis)[0]


def sgd(rate: float, momentum: float = 0.0, **more: Any) -> Callable[..., Optimizer]:
    return lambda held: torch.optim.SGD(held, lr=rate, momentum=momentum, **more)


def adam(rate: float = 1e-3, **more: Any) -> Callable[..., Optimizer]:
    return lambda held: torch.optim.Adam(held, lr=rate, **more)


@pytest.fixture
def small() -> Any:
    """What this file offers: networks, optimizers, runs, and what is judged of them."""
    return SimpleNamespace(
        mlp=mlp, filled=filled, run=run, judged=judged, alarms=alarms, root=root,
        sgd=sgd, adam=adam,
        inputs=INPUTS, targets=TARGETS, numbers=NUMBERS, classes=CLASSES,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
