"""Small data sets, a patient of them, and what the conditions of data find in it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosing import diagnose
from netwright.doctor.patient import Patient, Source, noted
from netwright.doctor.probes import PROBES
from netwright.doctor.setup_facts import setup_of
from netwright.records.findings import Finding
from netwright.records.record import Record
from netwright.testing.contracts import check_finding

OURS = (
    "unscaled-input", "constant-input", "dead-feature", "nonfinite-input",
    "inconsistent-preprocessing", "unshuffled-data", "stuck-data-feed", "split-leakage",
    "duplicate-samples", "distribution-shift", "labels-inconsistent", "label-noise",
    "destructive-augmentation", "shortcut", "validation-too-small",
)  # fmt: skip

LOOKERS = ("objective", "feed", "inputs", "first-layer", "splits", "labels")

Pair = tuple[Tensor, Tensor]


def batches(x: Tensor, y: Tensor, size: int) -> Callable[[], Iterator[Pair]]:
    return lambda: zip(x.split(size), y.split(size), strict=True)


def images(samples: int, *, seed: int = 0, classes: int = 4, channels: int = 1) -> Pair:
    """Bright bars in one of `classes` places, on a grey that varies, 0 .. 1, with some noise."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (samples,), generator=draws)
    x = 0.1 + 0.1 * torch.rand((samples, channels, 12, 12), generator=draws)
    for row, label in enumerate(y.tolist()):
        x[row, :, 3 * (label % 4) : 3 * (label % 4) + 2, 2:10] += 0.6
    x[:, :, :, -1] = 0.0  # a border that never changes
    if channels == 3:
        x = x * torch.tensor([1.0, 0.7, 0.4])[None, :, None, None]
    return x, y


def tables(samples: int, *, seed: int = 0, features: int = 12, spread: float = 1.0) -> Pair:
    """Two clouds that lie apart in several features."""
    draws = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (samples,), generator=draws)
    x = torch.randn((samples, features), generator=draws)
    x[:, :4] += 1.2 * (2 * y[:, None].float() - 1)
    return x * spread, y


def network(x: Tensor, classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    if x.ndim == 4:
        return nn.Sequential(
            nn.Conv2d(x.shape[1], 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, classes)
        )
    return nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, classes))


def looked_at(
    x: Tensor,
    y: Tensor,
    val: Pair | None = None,
    *,
    model: nn.Module | None = None,
    loss: Any = F.cross_entropy,
    lr: float = 0.05,
    size: int = 32,
    fed: Callable[[Tensor], Tensor] = lambda x: x,
    **source: Any,
) -> Record:
    """The facts of data of a patient; `fed` is what the loop does between loader and model."""
    model = network(x, int(y.max()) + 1) if model is None else model  # labels from 0
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    given = {"batches": batches(x, y, size), "samples": len(x), "batch": size, **source}
    patient = Patient(
        model=model,
        optimizers=(optimizer,),
        setup=setup_of(model, [optimizer]),
        train=Source(name="train", **given),
        val=None
        if val is None
        else Source(name="val", batches=batches(*val, size), samples=len(val[0])),
    )
    first = next(iter(given["batches"]()), None)
    if first is not None:
        patient.samples.append(noted(model, loss, (fed(first[0]),), first[1]))
    facts: list[object] = [patient.setup]
    for name in LOOKERS:
        needs = PROBES.get(name).facts.get("needs", ())
        if all(getattr(patient, need) for need in needs):
            facts += PROBES.get(name).target(patient)
    return Record(facts)


def found_in(record: Record) -> dict[str, Finding]:
    """By name, each held against the contract of its condition."""
    found = {each.name: each for each in diagnose(record) if each.name in OURS}
    for each in found.values():
        check_finding(CONDITIONS.get(each.name), each)
    return found


def alarms(record: Record) -> list[str]:
    return [name for name, each in found_in(record).items() if each.severity != "note"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
