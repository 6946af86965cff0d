"""A whole program, watched: whatever models and optimizers it makes become patients.

An optimizer tells of itself when it is made. At the next forward pass of any module, the models
whose parameters it holds are looked for among all modules that are alive, wrapped by then as the
program wants them; the watch begins before that pass goes on.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.watch import Doctor, Heard
from netwright.doctor.watching.company import Company
from netwright.doctor.watching.owners import Owned, model_of, owners, parameters_of
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.taps import OPTIMIZER_MADE
from netwright.records.record import Record

MOST = 6
"""Patients that are watched at one time. A program that tries a hundred models one after the
other must not be made to keep them all: the one that rested longest is let go."""


class Case:
    """One patient of a program, watched still or let go: then only its record is kept."""

    def __init__(self, number: int, doctor: Doctor) -> None:
        self.number = number
        self.doctor: Doctor | None = doctor
        self.stirred = 0
        """The step of the program at which it was last active."""
        self._record: Record | None = None

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
        checkup: bool = True,
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
        self._new: dict[int, weakref.ref[Optimizer]] = {}
        self._ends: list[Callable[[], None]] = []
        self._waiting: Any = None
        self._process = os.getpid()
        self._steps = 0

    def __enter__(self) -> Program:
        self._company.attach()
        self._ends = [
            OPTIMIZER_MADE.listen(None, guarded(self._made, self._failed)),
            register_optimizer_step_pre_hook(guarded(self._steps_unseen, self._failed)).remove,
            self._company.detach,
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        self._wait_no_more()
        for case in self.cases:
            if case.doctor is not None:
                case.doctor.__exit__(None, None, None)

    def crashed(self, error: BaseException) -> None:
        """The program ends by an error of its own: what its loss was given is kept."""
        for case in self.cases:
            if case.doctor is not None and isinstance(error, Exception):
                case.doctor.crashed(error)

    def _failed(self, error: BaseException) -> None:
        """Something of ours went wrong: the program goes on without being watched."""
        if self.fault:
            return
        self.fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        self.__exit__()
        if self._on_fault is not None:
            self._on_fault(self.fault)

    # From an optimizer to a patient

    def _made(self, result: Any, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self._process:  # a forked worker: nobody would hear what is found there
            return
        self._new[id(optimizer)] = weakref.ref(optimizer)
        if self._waiting is None:
            hook = guarded(self._forward_begins, self._failed)
            self._waiting = register_module_forward_pre_hook(hook)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.remove()
            self._waiting = None

    def _forward_begins(self, module: nn.Module, inputs: Any) -> None:
        if os.getpid() != self._process:
            return
        self._admit()
        # The hooks have been laid while this very call was on its way to them.
        for case in self.cases:
            roots = case.doctor.watcher._roots if case.doctor is not None else None
            if roots is not None and roots.joins(module):
                roots._begins(module, inputs, {})

    def _steps_unseen(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """A step is due of an optimizer for which no module has run."""
        if id(optimizer) in self._new and os.getpid() == self._process:
            self._admit()

    def _admit(self) -> None:
        self._wait_no_more()
        new = [each for each in (one() for one in self._new.values()) if each is not None]
        self._new.clear()
        for owned in owners(new):
            if owned.strays and self._on_strays is not None:
                self._on_strays(owned.optimizers[0], owned.strays)
            if owned.modules:
                self._place(owned)

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
            if step == 1 and self._on_begin is not None:
                self._on_begin(case)

        heard: Heard | None = None
        if self._on_round is not None:
            on_round = self._on_round

            def heard(_: Doctor, diagnosis: Diagnosis) -> None:
                on_round(case, diagnosis)

        doctor = Doctor(
            model,
            owned.optimizers,
            budget=self._budget,
            checkup=self._checkup,
            on_step=stepped,
            on_round=heard,
            on_fault=self._on_fault,
            company=self._company,
            after_step=self._on_step,
        )
        case = Case(len(self.cases) + 1, doctor)
        self.cases.append(case)
        doctor.__enter__()


def _names() -> dict[int, str]:
    """What the program calls its modules, by id: the global names of its main module."""
    own = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    return {id(each): name for name, each in own.items() if isinstance(each, nn.Module)}
