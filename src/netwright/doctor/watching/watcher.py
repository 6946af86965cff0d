"""One patient, watched: what its loop does is heard, some steps are looked at closely.

Every step: the loss, the order of backward, step and clearing, the mode of the model, whether all
is finite. Steps that are looked at: every layer's output and gradient by a sample, the true size
of the step, and the loss of the same batch after it. The loop's numbers stay as they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.patient import Sample, sample_of, tensors_in
from netwright.doctor.quiet import RandomState, Surroundings, quiet, strange_hooks
from netwright.doctor.tape import Objective, Tape, objective
from netwright.doctor.watching.layer_table import LayerTable
from netwright.doctor.watching.look import Look
from netwright.doctor.watching.order import Order
from netwright.doctor.watching.pace import Pace
from netwright.doctor.watching.passing import PassingBy
from netwright.doctor.watching.roots import Roots, guarded
from netwright.doctor.watching.series import Series
from netwright.records.facts.cost import Cost
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.steps import Steps

COLUMNS = (
    "step", "loss", "lr", "grad_norm", "raw_grad_norm", "update_ratio", "promised", "fallen",
    "cosine", "seconds", "wait", "epoch",
)  # fmt: skip

SAMPLES = 3
"""First batches that are kept for the check-up, by reference."""


class Watcher:
    """Told by the taps and hooks what a loop does, in whatever order it does it."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        budget: float = 0.02,
        every: int | None = None,
        on_sample: Callable[[Sample], None] | None = None,
        on_step: Callable[[int], None] | None = None,
        on_fault: Callable[[str], None] | None = None,
    ) -> None:
        """`on_sample` is called with each of the first batches, before the step on it;
        `on_step` after every step; `on_fault` once, with the reason, if the watcher gives up."""
        self.model = model
        self.optimizers = list(optimizers)
        self.pace = Pace(budget, every=every)
        self.order = Order(model, self.optimizers)
        self.rows = Series(COLUMNS)
        self.table = LayerTable()
        self.passing = PassingBy()
        self.samples: list[Sample] = []
        self.nonfinite: NonFinite | None = None
        self.steps = 0
        self.fault = ""
        self.ours = False
        """Whether the model is running because of us."""
        self.wait = 0.0
        self.epoch = 0
        self.scale = 1.0
        """What a scaler multiplies the loss with."""
        self._on_sample, self._on_step, self._on_fault = on_sample, on_step, on_fault
        self._roots = Roots(model, self)
        self._ends: list[Callable[[], None]] = []
        self._tape: Tape | None = None
        self._look: Look | None = None
        self._begin: RandomState | None = None
        self._surroundings: Surroundings | None = None
        self._objectives: list[tuple[Objective, RandomState, Surroundings]] = []
        self._losses: list[Tensor] = []
        self._objective_of: dict[int, Objective] = {}
        self._strange = False
        self._last = time.perf_counter()
        self._compiled = _is_compiled(model)

    # What a watch begins and ends with

    def attach(self) -> None:
        self._strange = strange_hooks(self.model)
        self._roots.attach()
        for each in self.optimizers:
            self._hook(each)

    def add(self, optimizer: Optimizer) -> None:
        """Another optimizer of the same model."""
        self.optimizers.append(optimizer)
        self.order.add(optimizer)
        self._hook(optimizer)

    def _hook(self, optimizer: Optimizer) -> None:
        before = optimizer.register_step_pre_hook(guarded(self.step_begins, self._failed))
        after = optimizer.register_step_post_hook(guarded(self.step_ended, self._failed))
        self._ends += [before.remove, after.remove]

    def detach(self) -> None:
        """Take every hook away; what was measured stays."""
        self._roots.detach()
        for end in self._ends:
            end()
        self._ends.clear()
        self._drop_tape()
        if self._look is not None:
            self._look.close()
            self._look = None
        self._objectives.clear()
        self._losses.clear()

    def _failed(self, error: BaseException) -> None:
        """Something of ours went wrong: the loop goes on without being watched."""
        if self.fault:
            return
        self.fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        self.ours = False
        self.detach()
        if self._on_fault is not None:
            self._on_fault(self.fault)

    # What the loop does

    def forward_begins(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.ours or self.fault:
            return
        began = time.perf_counter()
        try:
            self._forward_begins(args, kwargs)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach the loop
            self._failed(error)
        self.pace.hooks += time.perf_counter() - began

    def _forward_begins(self, args: Any, kwargs: Any) -> None:
        self._drop_tape_from_stack()
        graded = torch.is_grad_enabled()
        self.order.forward(self.model.training, graded)
        if not graded:
            if not self.model.training:
                self.passing.evaluated((args, kwargs))
            return
        if not self.order.began:
            self.order.batch((args, kwargs))
            self.order.began = True
            self.passing.batch(self.order.latest)
            if self.pace.due(self.steps + 1):
                self._begin, self._surroundings = RandomState(), Surroundings.now()
                self._tape = Tape()
                self.passing.trained((args, kwargs))
                self._look = Look(self.model, self.optimizers, compiled=self._compiled)
        if self._look is not None:
            self._look.forward_begins()

    def forward_ended(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self.ours or self.fault:
            return
        began = time.perf_counter()
        try:
            if self._look is not None:
                self._look.forward_ended()
            if self._tape is not None and output is not None and torch.is_grad_enabled():
                self._tape.note(module, args, kwargs, output)
                self._tape.on()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
        self.pace.hooks += time.perf_counter() - began

    def backward_begins(self, tensors: Any) -> None:
        """The loop takes the gradient of `tensors`, what it calls its loss."""
        if self.ours or self.fault or not self.order.began:
            return
        began = time.perf_counter()
        loss = next(iter(tensors_in(tensors)), None)
        if loss is not None and loss.numel() == 1:
            self._losses.append(loss.detach())
            if self._tape is not None:
                self._tape.off()
                self._note_objective(loss)
        self.order.backward_begins(loss, looking=self._look is not None)
        if self._look is not None:
            self._look.backward_begins()
        self.pace.hooks += time.perf_counter() - began

    def _note_objective(self, loss: Tensor) -> None:
        assert self._tape is not None
        assert self._begin is not None
        assert self._surroundings is not None
        found = objective(self._tape, loss)
        if found is None:
            return
        self._objectives.append((found, self._begin, self._surroundings))
        if len(self.samples) < SAMPLES:
            sample = sample_of(
                found, random=self._begin, surroundings=self._surroundings, step=self.steps + 1
            )
            sample.loss /= self.scale
            self.samples.append(sample)
            if self._on_sample is not None:
                began = time.perf_counter()
                self.ours = True
                try:
                    self._on_sample(sample)
                finally:
                    self.ours = False
                self.pace.leave_out(time.perf_counter() - began)

    def backward_ended(self) -> None:
        if self.ours or self.fault or not self.order.began:
            return
        began = time.perf_counter()
        self.order.backward_ended()
        if self._look is not None:
            self._look.backward_ended()
        self.pace.hooks += time.perf_counter() - began

    def step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.ours:
            return
        self._drop_tape_from_stack()
        if self._look is not None:
            self._look.step_begins()

    def step_ended(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.ours:
            return
        began = time.perf_counter()
        self.steps += 1
        losses = [float(each) / self.scale for each in self._losses[:64]]
        row = {
            "step": float(self.steps),
            "loss": math.fsum(losses) / len(losses) if losses else None,
            "lr": max((float(each["lr"]) for each in optimizer.param_groups), default=None),
            "seconds": began - self._last,
            "wait": self.wait,
            "epoch": float(self.epoch),
        }
        self._last = began
        self.wait = 0.0
        looking = self._look
        if looking is not None:
            row.update(self._finish_look(looking, optimizer))
        self.rows.add(row)
        self.order.step_ended(optimizer, look=looking)
        self._losses.clear()
        self._objectives.clear()
        self._tape = self._look = None
        spent = time.perf_counter() - began
        self.pace.steps = self.steps
        if looking is not None:
            self.pace.looked_at(self.steps, spent + looking.seconds)
        else:
            self.pace.hooks += spent
        if self._on_step is not None:
            self._on_step(self.steps)

    def _finish_look(self, look: Look, optimizer: Optimizer) -> dict[str, float | None]:
        found = look.finish(self.order.backwards_in_step, scale=self.scale)
        found.update(self._efficacy(look))
        for each, *_ in self._objectives[:1]:
            self.passing.look(each, self.steps)
        self.table.add(self.steps, look.layers)
        return found

    def _efficacy(self, look: Look) -> dict[str, float | None]:
        """The loss of the same batch after the step, in the same random state."""
        if self._strange or self._compiled or len(self._objectives) != len(self._losses):
            return {}
        if not 1 <= len(self._objectives) <= 4 or look.promised is None:
            return {}
        before = math.fsum(float(each) for each in self._losses)
        after = 0.0
        self.ours = True
        try:
            for each, begin, surroundings in self._objectives:
                with quiet(self.model, begin=begin), surroundings.again(), torch.no_grad():
                    after += float(each.again())
        finally:
            self.ours = False
        # The gradient is of the scaled loss where somebody scales it by himself.
        return {"promised": look.promised, "fallen": (before - after) / self.scale}

    def _drop_tape_from_stack(self) -> None:
        if self._tape is not None:
            self._tape.off()

    def _drop_tape(self) -> None:
        self._drop_tape_from_stack()
        self._tape = None

    # What was measured

    def facts(self) -> list[object]:
        """The facts of the watch so far."""
        steps = Steps(**self.rows.columns(), total=self.steps)
        found: list[object] = [steps, self.table.facts(), self.order.facts(), self.cost()]
        found.append(self.passing.facts())
        if self.nonfinite is not None:
            found.append(self.nonfinite)
        return found

    def cost(self) -> Cost:
        return Cost(
            steps=self.steps,
            seconds=self.pace.seconds,
            hooks=self.pace.hooks,
            looks=self.pace.looks,
            looked=self.pace.looked,
            interval=self.pace.interval,
            budget=self.pace.budget,
            fault=self.fault,
        )


def _is_compiled(model: nn.Module) -> bool:
    """Whether the model runs as a compiled graph, which must not be broken up."""
    return any(
        type(each).__name__ == "OptimizedModule" or each._compiled_call_impl is not None
        for each in model.modules()
    )


__all__ = ["Layers", "Loop", "Watcher"]
