"""All that is heard beside the model and its optimizers, in one place for every watch of a
process: loaders, schedulers, scalers, clipping."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from netwright.doctor.patient import Patient, Sample, Source
from netwright.doctor.watching.feeding import Feeding
from netwright.doctor.watching.guessed import without_validation
from netwright.doctor.watching.regulators import Regulators
from netwright.doctor.watching.special import GAMES, Specials
from netwright.doctor.watching.watcher import Watcher
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import Setup, Task
from netwright.records.facts.steps import Steps


class Company:
    """Attached while it is needed; a watch joins it and leaves it."""

    def __init__(self) -> None:
        self.feeding = Feeding()
        self.regulators = Regulators()
        self.specials = Specials()
        self._train: dict[int, Source | None] = {}
        self._val: dict[int, Source | None] = {}
        self._misled: set[int] = set()

    def attach(self) -> None:
        self.feeding.attach()
        self.regulators.attach()

    def detach(self) -> None:
        self.feeding.detach()
        self.regulators.detach()

    def attend(self, watcher: Watcher) -> None:
        self.feeding.attend(watcher)
        self.regulators.attend(watcher)
        self.specials.attend(watcher)

    def leave(self, watcher: Watcher) -> None:
        self.feeding.leave(watcher)
        self.regulators.leave(watcher)

    def introduce(self, patient: Patient, watcher: Watcher) -> None:
        """Tell the patient of its data and schedulers, as far as they are known by now."""
        self.regulators.look_for_schedulers(watcher)
        self._refresh(patient, watcher, guess=True)
        self.specials.introduce(watcher, patient.sample)
        own = {id(e) for o in patient.optimizers for g in o.param_groups for e in g["params"]}
        patient.foreign = frozenset(
            GAMES.held() - own - {id(e) for e in watcher.model.parameters()}
        )

    def _refresh(self, patient: Patient, watcher: Watcher, *, guess: bool) -> None:
        train, val = self.feeding.sources(watcher, guess=guess)
        if patient.train is self._train.get(id(patient)):  # what somebody said already stands
            patient.train = self._train[id(patient)] = train or patient.train
        if patient.val is self._val.get(id(patient)):
            known = None if self._mistaken(patient, watcher) else patient.val
            patient.val = self._val[id(patient)] = val or known
        found = self.regulators.schedulers(watcher)
        patient.schedulers = tuple(dict.fromkeys((*patient.given, *found)))

    def _mistaken(self, patient: Patient, watcher: Watcher) -> bool:
        """Whether other data than the loop's were guessed to be for validation; it stays known
        when the watch has ended."""
        if self.feeding.mistaken(watcher):
            self._misled.add(id(patient))
        return id(patient) in self._misled

    def facts(self, patient: Patient, watcher: Watcher, facts: list[object]) -> list[object]:
        """`facts` with what was heard here filled in."""
        self._refresh(patient, watcher, guess=False)
        if self._mistaken(patient, watcher):
            facts = without_validation(facts)
        steps = next((each for each in facts if isinstance(each, Steps)), None)
        filled: list[object] = []
        for each in facts:
            if isinstance(each, Loop):
                changes = self.regulators.loop_facts(watcher)
                each = dataclasses.replace(each, **changes, wait_share=_wait_share(steps))
            elif isinstance(each, Setup):
                each = setup_seen(each, patient, self.feeding.steps_per_epoch(watcher))
                special = each.special or self.specials.of(watcher)
                group = self.specials.group(watcher)
                each = dataclasses.replace(each, special=special, loss_group=group)
            filled.append(each)
        empty = None if watcher.steps else self.feeding.empty()
        return filled if empty is None else [*filled, empty]


def setup_seen(setup: Setup, patient: Patient, steps_per_epoch: int | None) -> Setup:
    """The set-up with what the loop has shown since: task, batch, the sizes of its data. What
    somebody said already stands."""
    found: dict[str, Any] = {
        "train_samples": patient.train.samples if patient.train is not None else None,
        "val_samples": patient.val.samples if patient.val is not None else None,
        "steps_per_epoch": steps_per_epoch,
    }
    setup = shown_by(setup, patient.sample) if patient.sample is not None else setup
    new = {
        name: value
        for name, value in found.items()
        if value is not None and getattr(setup, name) in (None, "unknown")
    }
    return dataclasses.replace(setup, **new)


def shown_by(setup: Setup, sample: Sample) -> Setup:
    """The set-up with the size of a batch and the task that its loss is for."""
    return dataclasses.replace(
        setup,
        batch=setup.batch if setup.batch is not None else sample.size or None,
        task=task_of(sample) if setup.task == "unknown" else setup.task,
    )


def task_of(sample: Any) -> Task:
    """What kind of problem a loss function is used for."""
    kind = sample.loss_call.name if sample.loss_call is not None else ""
    output, target = sample.output, sample.target
    if kind in ("cross_entropy", "nll_loss", "multi_margin_loss"):
        deep = output is not None and output.ndim > 2
        return "segmentation" if deep else "classification"
    if kind.startswith("binary_cross_entropy"):
        wide = target is not None and target.ndim > 1 and target.shape[-1] > 1
        return "multilabel" if wide else "binary"
    if kind in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        return "regression"
    return "unknown"


def _wait_share(steps: Steps | None) -> float | None:
    """Of the time of the steps, without the first, which starts the workers."""
    if steps is None or len(steps.step) < 3 or not np.nansum(steps.wait[1:]):
        return None
    whole = float(np.nansum(steps.seconds[1:]))
    return min(1.0, float(np.nansum(steps.wait[1:])) / whole) if whole > 0 else None
