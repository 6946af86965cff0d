"""`nw.checkup`: what can be proved before the first step, without taking one.

nw.checkup(model, nn.CrossEntropyLoss(), loader, optimizer, val_data=val_loader)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from netwright.core.errors import DataError, SettingError
from netwright.core.unheard import unwarned
from netwright.doctor.checkup import SECONDS, examine
from netwright.doctor.deadline import Deadline
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.failing import failure_of
from netwright.doctor.patient import Patient, Sample, Source, noted
from netwright.doctor.quiet import RandomState, hushed
from netwright.doctor.setup_facts import setup_of
from netwright.doctor.watch import named
from netwright.doctor.watching.company import setup_seen
from netwright.doctor.watching.sources import Pair, given_source
from netwright.records.record import Record

BATCH = 64
"""Samples in a batch of data that are not in batches yet."""

BATCHES = 3
"""Batches whose loss is looked at."""

SMALL = 0.02
"""The share of the time that a batch may take, or no other one is looked at."""


def checkup(
    model: nn.Module,
    loss_fn: Callable[..., Tensor],
    data: Any,
    optimizer: Optimizer | None = None,
    val_data: Any = None,
    scheduler: Any = None,
    epochs: int | None = None,
    *,
    seconds: float = SECONDS,
) -> Diagnosis:
    """Look at a model, its loss and its data before the first step, for at most `seconds`.

    `data` and `val_data`: a DataLoader, a data set, a pair of tensors, or a list of batches, each
    batch an input and a target. The loss is `loss_fn(model(inputs), target)`. With the
    `optimizer`, the `scheduler` and the `epochs` that are planned more can be proved. Model,
    optimizer and random states come back as they were.

    Raises `SettingError` for a model, a loss or data of another kind, `DataError` where there is
    no batch. What the model or the loss raise on the first batch is raised here too, unless a
    condition knows it: labels out of range, say, are a finding.
    """
    _refuse_unfit(model, loss_fn, optimizer, seconds)
    state, deadline = RandomState(), Deadline(seconds)
    try:
        train = _source(data, "train", model)
        val = _source(val_data, "val", model) if val_data is not None else None
        patient = patient_of(
            model,
            loss_fn,
            train,
            val=val,
            optimizers=() if optimizer is None else (optimizer,),
            schedulers=() if scheduler is None else (scheduler,),
            epochs=epochs,
            deadline=deadline,
        )
        return checked(patient, seconds=seconds)
    except Exception as error:
        failure = failure_of(error)
        if failure is not None:
            setup = setup_of(model, () if optimizer is None else (optimizer,))
            known = diagnosed(Record([setup, failure]))
            if known:
                return known
        raise
    finally:
        state.restore()


def _refuse_unfit(model: object, loss_fn: object, optimizer: object, seconds: object) -> None:
    """`SettingError` for what cannot be looked at; a class in place of an instance is the usual
    slip."""
    if not isinstance(model, nn.Module):
        raise SettingError(
            "A check-up takes a model first, an instance of torch.nn.Module, not {given}.",
            hint="Try: nw.checkup(model, nn.CrossEntropyLoss(), data)",
            given=named(model),
        )
    if not callable(loss_fn) or isinstance(loss_fn, type):
        raise SettingError(
            "A check-up takes a loss second, a function of output and target, not {given}.",
            hint="Try: nw.checkup(model, nn.CrossEntropyLoss(), data)",
            given=named(loss_fn),
        )
    if any(map(is_lazy, model.parameters())):
        raise SettingError(
            "The model has lazy layers that have no weights yet.",
            hint="Run it on a batch first: model(inputs)",
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise SettingError(
            "A check-up takes an optimizer, an instance of torch.optim.Optimizer, not {given}.",
            hint="Try: nw.checkup(model, nn.CrossEntropyLoss(), data, optimizer)",
            given=named(optimizer),
        )
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise SettingError(
            "seconds says how long a check-up may take, above 0, not {value}.",
            value=repr(seconds),
        )


def patient_of(
    model: nn.Module,
    loss_fn: Callable[..., Tensor],
    train: Source,
    *,
    val: Source | None = None,
    optimizers: tuple[Optimizer, ...] = (),
    schedulers: tuple[Any, ...] = (),
    epochs: int | None = None,
    deadline: Deadline | None = None,
) -> Patient:
    """The patient of a plan, with the samples of its first batches, one where they cost much.
    `deadline` is that of the check-up which is to come."""
    deadline = deadline or Deadline()
    samples: list[Sample] = []
    with hushed(model):
        for inputs, target in islice(train.batches(), BATCHES):
            began = deadline.left
            samples.append(noted(model, loss_fn, (inputs,), target))
            if began - deadline.left > SMALL * began:
                break
    if not samples:
        raise DataError("The training data hold no batch with a tensor in it.")
    steps = _steps_per_epoch(train)
    patient = Patient(
        model=model,
        optimizers=optimizers,
        setup=dataclasses.replace(
            setup_of(model, optimizers),
            epochs=epochs,
            planned_steps=epochs * steps if epochs and steps else None,
        ),
        samples=samples,
        train=train,
        val=val,
        schedulers=schedulers,
        deadline=deadline,
    )
    patient.setup = setup_seen(patient.setup, patient, steps)
    return patient


def checked(patient: Patient, *, seconds: float = SECONDS) -> Diagnosis:
    """What the probes and conditions say of a patient, by the deadline that it came with if there
    is one."""
    with unwarned():
        return diagnosed(Record([patient.setup, *examine(patient, seconds=seconds)]))


def _source(data: Any, name: str, model: nn.Module) -> Source:
    """The data on the device of the model."""
    if isinstance(data, tuple) and all(isinstance(each, Tensor) for each in data):
        counts = [len(each) for each in data]
        if len(set(counts)) > 1:
            raise DataError(
                "Input and target are of as many samples each, not {counts}.",
                counts=", ".join(map(str, counts)),
            )
        if not any(counts):
            raise DataError("The training data hold no batch with a tensor in it.")
    try:
        source = given_source(data, name, BATCH)
    except TypeError as error:
        raise SettingError(
            "A check-up takes a DataLoader, a data set, a pair of tensors or a list of batches, "
            "not {kind}.",
            kind=str(error),
        ) from error
    device = next((each.device for each in model.parameters()), None)

    def batches() -> Iterator[Pair]:
        for inputs, target in source.batches():
            moved = inputs.to(device) if device is not None else inputs
            yield moved, target.to(moved.device) if target is not None else None

    return dataclasses.replace(source, batches=batches)


def _steps_per_epoch(source: Source) -> int | None:
    if not source.samples or not source.batch:
        return None
    return max(1, -(-(source.samples - source.dropped) // source.batch))
