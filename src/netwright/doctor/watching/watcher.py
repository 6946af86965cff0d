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

from netwright.core.unheard import unwarned
from netwright.doctor.patient import Sample, tensors_in
from netwright.doctor.quiet import strange_hooks
from netwright.doctor.tape import Tape
from netwright.doctor.watching.doze import Doze, rate_of
from netwright.doctor.watching.efficacy import Efficacy
from netwright.doctor.watching.evaluation import Evaluation
from netwright.doctor.watching.filters import FiltersRead
from netwright.doctor.watching.finite import Finite, talks
from netwright.doctor.watching.growth import EVERY, Memory
from netwright.doctor.watching.heard_losses import HeardLosses
from netwright.doctor.watching.hidden import Hidden
from netwright.doctor.watching.hooks import Hooks
from netwright.doctor.watching.layer_table import LayerTable
from netwright.doctor.watching.ledger import Ledger
from netwright.doctor.watching.look import Look
from netwright.doctor.watching.measured import cost_of, facts_of
from netwright.doctor.watching.nesting import within_its_step
from netwright.doctor.watching.norm_table import NormTable
from netwright.doctor.watching.notes import Notes
from netwright.doctor.watching.order import Order
from netwright.doctor.watching.pace import Pace
from netwright.doctor.watching.passing import PassingBy
from netwright.doctor.watching.restarts import RestartsSeen
from netwright.doctor.watching.roots import Roots
from netwright.doctor.watching.series import Series
from netwright.doctor.watching.tally import Tally
from netwright.doctor.watching.transforms import transformed
from netwright.records.facts.cost import Cost
from netwright.records.facts.nonfinite import NonFinite


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
        self.table = LayerTable()
        self.evaluation = Evaluation()
        self.tally = Tally()
        self.passing = PassingBy()
        self.finite = Finite(model, self.optimizers)
        self.notes = Notes()
        self.finite.fallback = self.notes.of_door
        self.hidden = Hidden(model, self.optimizers)
        self.memory = Memory(cuda=any(each.is_cuda for each in model.parameters()))
        self.restarts = RestartsSeen()
        self.ledger = Ledger(self.evaluation.trained, self.restarts.loss)
        self.norms = NormTable()
        self.filters = FiltersRead(model)
        self.efficacy = Efficacy(model)
        self.steps = 0
        self.fault = ""
        self.ours = False
        """Whether the model is running because of us."""
        self.wait = 0.0
        self.epoch = 0
        self.ungraded = False
        """Whether a backward pass was asked for after forwards without gradients alone."""
        self.scale = 1.0
        """What a scaler multiplies the loss with."""
        self.on_step, self._on_fault = on_step, on_fault
        self.roots = Roots(model, self)
        self.doze = Doze(self)
        self._hooks = Hooks(self)
        self._losses = HeardLosses(self, on_sample)
        self._look: Look | None = None
        self.in_step = False
        """Whether an optimizer is making a step."""
        self.inner = 0
        """Steps of the same optimizer within that one: a class may call the step of its parent,
        and torch tells of both."""
        self.over = False
        """Whether the watch has ended."""
        self._strange = False
        self.last = time.perf_counter()
        self.compiles = _is_compiled(model)
        """Whether the model, or a part of it, runs as a compiled graph."""

    # What a watch begins and ends with

    def attach(self) -> None:
        self.over = False
        self._strange = strange_hooks(self.model) or talks(self.model)
        self.roots.attach()
        self._hooks.attach()

    def add(self, optimizer: Optimizer) -> None:
        """Another optimizer of the same model."""
        self.optimizers.append(optimizer)
        self.order.add(optimizer)
        self._hooks.add(optimizer)

    def go_back(self, step: int, *, replayed: bool) -> None:
        """Between two steps, or in one that is given up: the weights are those after step `step`
        again, and what was seen since is forgotten. `replayed`: the batches come by again too."""
        self._give_up_step()
        self.in_step = False
        self.ledger.settle()
        self.rows.cut("step", step)
        self.table.cut(step)
        self.evaluation.cut(step)
        self.finite.forget()
        if replayed:
            self.passing.comes_again(self.steps - step)
        self.order.gone_back()
        self.norms.clear()
        self.filters.forget()
        self.steps, self.last = step, time.perf_counter()
        self.pace.gone_back(step)
        self.doze.gone_back(step)

    @property
    def latest_loss(self) -> float | None:
        """The loss of the newest step; None where it had none."""
        waiting = self.ledger.waiting
        if waiting:
            loss: float | None = waiting[-1][1]
            return loss
        return self.ledger.rows.newest("loss")

    def detach(self) -> None:
        """Take every hook away; what was measured stays."""
        self.over = True
        self._hooks.remove()
        self._rest()

    def _rest(self) -> None:
        """Hear nothing more. The hooks on optimizers stay: one of them may be under way, and torch
        walks through them as they are."""
        self.roots.detach()
        self.doze.asleep = False
        self.ledger.settle()
        self.evaluation.closes(self.steps)
        self._give_up_step()
        self.finite.close()

    def _give_up_step(self) -> None:
        """Keep nothing of the step that is under way."""
        self.notes.drop()
        self.notes.forget()
        if self._look is not None:
            self._look.close()
            self._look = None

    @property
    def rows(self) -> Series:
        """What is known of each step."""
        self.ledger.settle()
        return self.ledger.rows

    @property
    def nonfinite(self) -> NonFinite | None:
        return self.finite.fact

    def failed(self, error: BaseException) -> None:
        """Something of ours went wrong: the loop goes on without being watched."""
        if self.fault:
            return
        self.fault = f"{type(error).__name__}: {error}".partition("\n")[0]
        self.ours = False
        self._rest()
        if self._on_fault is not None:
            self._on_fault(self.fault)

    def compiled(self, module: nn.Module) -> None:
        """A module of the model runs as a compiled graph from here on."""
        self.compiles = True
        self.roots.compiled(module)

    @property
    def tape(self) -> Tape | None:
        """Of the step that is under way, where it is looked at."""
        return self.notes.tape

    # What the loop does

    def forward_begins(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.ours or self.fault or transformed():
            return
        began = time.perf_counter()
        try:
            if self.doze.asleep and torch.is_grad_enabled():
                self.doze.forward(module, args, kwargs)
                return
            self._forward_begins(module, args, kwargs)
        except Exception as error:
            self.failed(error)
        self.pace.hooks += time.perf_counter() - began

    def _forward_begins(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.notes.hush()
        graded = torch.is_grad_enabled()
        self.order.forward(module, self.model.training, graded)
        if not graded:
            if not self.compiles:
                self.ledger.settle()
                self.evaluation.begins(self.steps)
            if not self.model.training:
                self.passing.evaluated((args, kwargs))
            return
        self.evaluation.closes(self.steps)
        if not self.order.began:
            self.order.batch((args, kwargs))
            self.order.began = True
            self.passing.batch(self.order.latest)
            if self.pace.due(self.steps + 1):
                self.passing.trained((args, kwargs))
                self._look = Look(self.model, self.optimizers, compiled=self.compiles)
        self.notes.begins(looking=self._look is not None)
        if self._look is not None:
            self._look.forward_begins()

    def forward_ended(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self.ours or self.fault or transformed():
            return
        if self.doze.asleep and torch.is_grad_enabled():
            return
        began = time.perf_counter()
        try:
            graded = torch.is_grad_enabled()
            if self._look is not None:
                self._look.forward_ended()
            if graded:
                self.notes.door(module, args, kwargs)
                self.notes.called(module, args, kwargs, output)
            elif output is not None:
                self.evaluation.ended(module, args, kwargs, output)
        except Exception as error:
            self.failed(error)
        self.pace.hooks += time.perf_counter() - began

    def backward_begins(self, tensors: Any, *rest: Any, **named: Any) -> None:
        """The loop takes the gradient of `tensors`, what it calls its loss."""
        if self.ours or self.fault:
            return
        try:
            self._backward_begins(tensors)
        except Exception as error:
            self.failed(error)

    def _backward_begins(self, tensors: Any) -> None:
        loss = tensors if isinstance(tensors, Tensor) else next(iter(tensors_in(tensors)), None)
        if not self.order.began:
            if loss is not None and not loss.requires_grad:
                self.ungraded = True
            return
        began = time.perf_counter()
        if loss is not None and not self.notes.full and loss.numel() == 1:
            self._losses.heard(loss, self._look)
        if self.doze.asleep:
            self.order.backward_dozed()
        else:
            self.order.backward_begins(loss, looking=self._look is not None)
        if self._look is not None:
            self._look.backward_begins()
        self.pace.hooks += time.perf_counter() - began

    def backward_ended(self, *rest: Any, **named: Any) -> None:
        if self.ours or self.fault or not self.order.began:
            return
        if self.doze.asleep and not self.in_step and self.scale == 1.0:
            return
        try:
            self._backward_ended()
        except Exception as error:
            self.failed(error)

    def _backward_ended(self) -> None:
        began = time.perf_counter()
        self.order.backward_ended()
        if self._look is not None:
            self._look.backward_ended()
        if self.in_step:
            self.check()
        elif self.scale != 1.0 and (losses := self.notes.seen):
            self.ours = True
            try:
                taped = self.notes.taped
                self.finite.scaled(self.steps + 1, losses[-1], taped, replay=not self._strange)
            finally:
                self.ours = False
        self.pace.hooks += time.perf_counter() - began

    def check(self) -> None:
        """Whether all is finite, before the weights are moved by it."""
        notes = self.notes
        if not notes.values and not notes.losses:
            return
        if notes.values and self.finite.fine(notes.values[-1]):
            return
        losses = notes.seen
        self.ours = True
        try:
            self.finite.due(self.steps + 1, losses, notes.taped, replay=not self._strange)
        finally:
            self.ours = False

    def step_begins(self, optimizer: Optimizer) -> None:
        if self.ours or self.fault:
            return
        if self.in_step and within_its_step(optimizer):
            self.inner += 1
            return
        began = time.perf_counter()
        self.in_step, self.inner = True, 0
        try:
            self.notes.hush()
            self.order.step_begins(optimizer)
            self.check()
        except Exception as error:
            self.failed(error)
        self.pace.hooks += time.perf_counter() - began

    def step_ended(self, optimizer: Optimizer) -> None:
        if self.ours or self.fault:
            return
        if self.inner:
            self.inner -= 1
            return
        try:
            self._step_ended(optimizer)
        except Exception as error:
            self.failed(error)

    def _step_ended(self, optimizer: Optimizer) -> None:
        began = time.perf_counter()
        self.in_step = False
        self.steps += 1
        losses = self.notes.values or [float(each) for each in self.notes.losses]
        loss = math.fsum(losses) / len(losses) / self.scale if losses else None
        noted = (self.steps, loss, rate_of(optimizer), began - self.last, self.wait, self.epoch)
        self.last = began
        self.wait = 0.0
        if not self.steps % EVERY:
            self.memory.stepped(self.steps)
        if self.doze.asleep:
            self.ledger.note(noted)
            self.order.slept()
            self.notes.forget_losses()
            self.pace.hooks += time.perf_counter() - began
        else:
            self._heard_all(noted, optimizer, began)
        if self.steps + 1 >= self.doze.wakes:
            self.doze.turn_over()
        if self.on_step is not None:
            self.on_step(self.steps)

    def _heard_all(self, noted: tuple[Any, ...], optimizer: Optimizer, began: float) -> None:
        """The end of a step of which everything was heard."""
        self.notes.hush()
        look = self._look
        more = None
        if look is not None:
            with unwarned():
                more = self._finish_look(look, optimizer)
        self.ledger.note(noted, more)
        self.order.step_ended(optimizer, look=look)
        self.notes.forget()
        self.notes.tape = self._look = None
        spent = time.perf_counter() - began
        if look is not None:
            self.pace.looked_at(self.steps, spent + look.seconds)
        else:
            self.pace.hooks += spent
            self.pace.heard(self.pace.hooks - self.doze.hooks_before, everything=True)

    def step_left_out(self) -> None:
        """A scaler left this step out: what was collected for it belongs to no step."""
        self._give_up_step()
        self.order.step_left_out()

    def _finish_look(self, look: Look, optimizer: Optimizer) -> dict[str, float | None]:
        found = look.finish(self.order.backwards_in_step, scale=self.scale, stepped=optimizer)
        found.update(self._fallen(look))
        for noted, *_ in self.notes.objectives[:1]:
            self.passing.look(noted, self.steps)
        self.table.add(self.steps, look.layers)
        self.norms.add(look.norms)
        return found

    def _fallen(self, look: Look) -> dict[str, float | None]:
        """The fall of the loss on the batch of this step, against what its gradient promised."""
        if self._strange or self.compiles or look.promised is None:
            return {}
        self.ours = True
        try:
            noted = self.notes.objectives
            fallen = self.efficacy.fallen(noted, self.notes.losses)
            alone = fallen is not None and len(noted) == 1
            if alone and self.efficacy.turns(self.steps):
                self.efficacy.other_mode(noted[0], self.steps, scale=self.scale)
        except Exception:
            # The model, or the memory, does not bear a second forward pass: do without it.
            self._strange = True
            return {}
        finally:
            self.ours = False
        if fallen is None:
            return {}
        # The gradient is of the scaled loss where somebody scales it by himself.
        return {"promised": look.promised, "fallen": fallen / self.scale}

    # What was measured

    def facts(self) -> list[object]:
        """The facts of the watch so far."""
        return facts_of(self)

    def cost(self) -> Cost:
        """What the watch has cost the loop."""
        return cost_of(self)


def _is_compiled(model: nn.Module) -> bool:
    """Whether the model runs as a compiled graph, which must not be broken up."""
    return any(
        type(each).__name__ == "OptimizedModule" or each._compiled_call_impl is not None
        for each in model.modules()
    )
