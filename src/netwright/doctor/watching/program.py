"""A whole program, watched: whatever models and optimizers it makes become patients.

An optimizer tells of itself when it is made; the modules whose parameters it holds are looked for
among all that are alive, and the watch begins at once. No hook is laid on modules in general: such
a hook would become part of every graph that the program compiles.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.watch import Doctor, Heard
from netwright.doctor.watching.company import Company
from netwright.doctor.watching.feeding import Feeding
from netwright.doctor.watching.owners import (
    Owned,
    learning_unheld,
    model_of,
    owners,
    parameters_of,
)
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.taps import BACKWARD, COMPILED, COMPILED_IN_PLACE, OPTIMIZER_MADE
from netwright.records.record import Record

MOST = 6
"""Patients that are watched at one time. A program that tries a hundred models one after the
other must not be made to keep them all: the one that rested longest is let go."""


class Case:
    """One patient of a program, watched still or let go: then only its record is kept."""

    def __init__(self, number: int, doctor: Doctor, again: Callable[[nn.Module], Doctor]) -> None:
        self.number = number
        self._again = again
        self.doctor: Doctor | None = doctor
        self.stirred = 0
        """The step of the program at which it was last active."""
        self.begun = False
        self.in_vain = False
        """Whether its optimizer stepped though no gradient had come to any of its parameters."""
        self._record: Record | None = None

    def rename(self, model: nn.Module) -> None:
        """The same patient, whose steps so far count for nothing, as `model`, which stands around
        it or in its place."""
        assert self.doctor is not None
        self.doctor.__exit__(None, None, None)
        self.doctor = self._again(model)
        self.doctor.__enter__()

    def let_go(self) -> None:
        if self.doctor is not None:
            self._record = self.doctor.record()
            self.doctor.__exit__(None, None, None)
            self.doctor = None

    def record(self) -> Record:
        if self.doctor is not None:
            return self.doctor.record()
        assert self._record is not None
        return self._record


class Program:
    """Watches until it is closed. `on_begin` is told of each new patient, at the first step that
    it took, `on_round` whenever conditions were asked, `on_step` after each step with the count of
    steps of the busiest patient, `on_strays` of an optimizer without a module, `on_fault` why
    a watch was given up."""

    def __init__(
        self,
        *,
        budget: float = 0.02,
        checkup: bool | float = True,
        on_begin: Callable[[Case], None] | None = None,
        on_round: Callable[[Case, Diagnosis], None] | None = None,
        on_step: Callable[[int], None] | None = None,
        on_strays: Callable[[Optimizer, int], None] | None = None,
        on_fault: Callable[[str], None] | None = None,
    ) -> None:
        self.cases: list[Case] = []
        self.fault = ""
        self._budget, self._checkup = budget, checkup
        self._on_begin, self._on_round, self._on_step = on_begin, on_round, on_step
        self._on_strays, self._on_fault = on_strays, on_fault
        self._company = Company()
        self._ends: list[Callable[[], None]] = []
        self._process = os.getpid()
        self._steps = 0

    @property
    def feeding(self) -> Feeding:
        """Where the batches come from."""
        return self._company.feeding

    def __enter__(self) -> Program:
        self._company.attach()
        self._ends = [
            OPTIMIZER_MADE.listen(None, guarded(self._made, self._failed)),
            COMPILED.listen(None, guarded(self._compiled, self._failed)),
            COMPILED_IN_PLACE.listen(None, guarded(self._compiled_in_place, self._failed)),
            BACKWARD.listen(None, guarded(self._passed, self._failed)),
            self._company.detach,
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        for case in self.cases:
            if case.doctor is not None:
                case.doctor.__exit__(None, None, None)

    def crashed(self, error: BaseException) -> None:
        """The program ends by an error of its own: what its loss was given is kept."""
        for case in self.cases:
            if case.doctor is not None and isinstance(error, Exception):
                case.doctor.crashed(error)

    def _failed(self, error: BaseException) -> None:
        """Something of ours went wrong: the program goes on without being watched. Hooks on
        optimizers stay till the end, for one of them may be under way."""
        if self.fault:
            return
        self.fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        for case in self.cases:
            if case.doctor is not None:
                case.doctor.watcher.failed(error)
        if self._on_fault is not None:
            self._on_fault(self.fault)

    # From an optimizer to a patient

    def _made(self, result: Any, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        # In a forked worker nobody would hear what is found.
        if os.getpid() != self._process or self.fault or self._ours:
            return
        for owned in owners([optimizer]):
            if owned.strays and self._on_strays is not None:
                self._on_strays(optimizer, owned.strays)
            if owned.modules:
                self._place(owned)

    @property
    def _ours(self) -> bool:
        """Whether a check-up is under way, which makes optimizers of its own."""
        doctors = [case.doctor for case in self.cases if case.doctor is not None]
        return any(each.watcher.ours for each in doctors)

    def _compiled(self, result: Any, model: Any = None, *args: Any, **kwargs: Any) -> None:
        """`torch.compile` was called: of a module, what it gives is called in its place."""
        if self.fault or not isinstance(result, nn.Module) or not isinstance(model, nn.Module):
            return
        for case in self.cases:
            if case.doctor is not None:
                if case.doctor.patient.model is model and not case.doctor.watcher.steps:
                    case.rename(result)
                elif any(each is model for each in case.doctor.patient.model.modules()):
                    case.doctor.watcher.compiled(model)

    def _compiled_in_place(self, result: Any, module: Any, *args: Any, **kwargs: Any) -> None:
        if self.fault:
            return
        for doctor in [case.doctor for case in self.cases if case.doctor is not None]:
            if any(each is module for each in doctor.patient.model.modules()):
                doctor.watcher.compiled(module)

    def _passed(self, *_: Any, **__: Any) -> None:
        """A backward pass is over. A patient that stepped without any gradient is none: what is
        trained is the one model that has gradients and that no optimizer holds, such as one built
        anew after the optimizer was made."""
        vain = [each for each in self.cases if each.in_vain and each.doctor is not None]
        if len(vain) != 1 or len(self.cases) != 1 or self._ours:
            return
        vain[0].in_vain = False
        assert vain[0].doctor is not None
        if not _learns(vain[0].doctor.patient.model):
            held = {
                id(each)
                for optimizer in vain[0].doctor.patient.optimizers
                for each in parameters_of(optimizer)
            }
            found = learning_unheld(held)
            if len(found) == 1:
                vain[0].rename(found[0])

    def _place(self, owned: Owned) -> None:
        """A new patient, or more optimizers for one that is known."""
        model = model_of(owned, _names())
        held = {id(each) for one in owned.optimizers for each in parameters_of(one)}
        for case in self.cases:
            if case.doctor is None:
                continue
            known = case.doctor.patient.model
            if held.isdisjoint(id(each) for each in known.parameters()):
                continue
            if held <= {id(each) for each in known.parameters()}:
                for each in owned.optimizers:
                    case.doctor.add(each)
                return
            case.let_go()  # the model has grown: what it is now is watched anew
        self._begin(model, owned)

    def _begin(self, model: nn.Module, owned: Owned) -> None:
        active = [each for each in self.cases if each.doctor is not None]
        if len(active) >= MOST:
            min(active, key=lambda each: each.stirred).let_go()
        case: Case

        def stepped(step: int) -> None:
            self._steps = max(self._steps, step)
            case.stirred = self._steps
            if step == 1 and not case.begun:
                case.begun = True
                if self._on_begin is not None:
                    self._on_begin(case)
                assert case.doctor is not None
                case.in_vain = not _learns(case.doctor.patient.model)

        heard: Heard | None = None
        if self._on_round is not None:
            on_round = self._on_round

            def heard(_: Doctor, diagnosis: Diagnosis) -> None:
                on_round(case, diagnosis)

        def admitted(patient: nn.Module) -> Doctor:
            return Doctor(
                patient,
                owned.optimizers,
                budget=self._budget,
                checkup=self._checkup,
                on_step=stepped,
                on_round=heard,
                on_fault=self._on_fault,
                company=self._company,
                after_step=self._on_step,
            )

        case = Case(len(self.cases) + 1, admitted(model), admitted)
        self.cases.append(case)
        assert case.doctor is not None
        case.doctor.__enter__()


def _learns(model: nn.Module) -> bool:
    """Whether any parameter has a gradient; one that was just cleared to None has none."""
    return any(each.grad is not None for each in model.parameters())


def _names() -> dict[int, str]:
    """What the program calls its modules, by id: the global names of its main module."""
    own = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    return {id(each): name for name, each in own.items() if isinstance(each, nn.Module)}
