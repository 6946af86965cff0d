"""One patient, watched: what its loop does is heard, some steps are looked at closely.

Every step: the loss, the order of backward, step and clearing, the mode of the model, whether all
is finite. Steps that are looked at: every layer's output and gradient by a sample, the true size
of the step, and the loss of the same batch after it. The loop's numbers stay as they are.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.unheard import unwarned
from netwright.doctor.patient import OVER_CLASSES, Sample, losses_of, tensors_in
from netwright.doctor.quiet import strange_hooks
from netwright.doctor.tape import Objective, Tape
from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.doze import Doze, rate_of
from netwright.doctor.watching.efficacy import Efficacy
from netwright.doctor.watching.evaluation import Evaluation
from netwright.doctor.watching.filters import filters_of
from netwright.doctor.watching.finite import Finite, talks
from netwright.doctor.watching.growth import EVERY, Memory
from netwright.doctor.watching.hidden import Hidden
from netwright.doctor.watching.layer_table import LayerTable
from netwright.doctor.watching.ledger import Ledger
from netwright.doctor.watching.look import Look
from netwright.doctor.watching.nesting import within_its_step
from netwright.doctor.watching.notes import MOST_TAPES, Notes
from netwright.doctor.watching.order import Order
from netwright.doctor.watching.pace import Pace
from netwright.doctor.watching.passing import PassingBy
from netwright.doctor.watching.restarts import RestartsSeen
from netwright.doctor.watching.roots import Roots, guarded
from netwright.doctor.watching.series import Series
from netwright.doctor.watching.tally import Tally
from netwright.doctor.watching.transforms import transformed
from netwright.records.facts.cost import Cost
from netwright.records.facts.filters import Filters
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.facts.norms import NormFact, Norms
from netwright.records.facts.reach import Cut, Reach
from netwright.records.facts.steps import Steps

FIRST_FILTERS = 128
"""Steps after which the filters are compared for the first time."""

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
        self.table = LayerTable()
        self.evaluation = Evaluation()
        self.tally = Tally()
        self.passing = PassingBy()
        self.samples: list[Sample] = []
        self.finite = Finite(model, self.optimizers)
        self.notes = Notes()
        self.finite.fallback = self.notes.of_door
        self.hidden = Hidden(model, self.optimizers)
        self.memory = Memory(cuda=any(each.is_cuda for each in model.parameters()))
        self.restarts = RestartsSeen()
        self.ledger = Ledger(self.evaluation.trained, self.restarts.loss)
        self.norms: dict[str, NormFact] = {}
        self._efficacy = Efficacy(model)
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
        self._on_sample, self.on_step, self._on_fault = on_sample, on_step, on_fault
        self.roots = Roots(model, self)
        self.doze = Doze(self)
        self._ends: list[Callable[[], None]] = []
        self._look: Look | None = None
        self._hooks = (0, 0.0)
        """The last step that was heard of in the same way as the one before it; what the hooks had
        taken by then."""
        self.wakes = 1
        self.in_step = False
        """Whether an optimizer is making a step."""
        self.inner = 0
        """Steps of the same optimizer within that one: a class may call the step of its parent,
        and torch tells of both."""
        self._filters: Filters | None = None
        self.over = False
        """Whether the watch has ended."""
        self._strange = False
        self.last = time.perf_counter()
        self._compiled = _is_compiled(model)

    # What a watch begins and ends with

    def attach(self) -> None:
        self.over = False
        self._strange = strange_hooks(self.model) or talks(self.model)
        self.roots.attach()
        loaded = guarded(lambda _, keys, *__: self._loaded(keys), self.failed)
        if not isinstance(self.model, torch.jit.ScriptModule):  # which takes no such hook
            hooked = self.model.register_load_state_dict_post_hook(Hook(loaded))
            self._ends.append(hooked.remove)
        for each in self.optimizers:
            self._hook(each)

    def add(self, optimizer: Optimizer) -> None:
        """Another optimizer of the same model."""
        self.optimizers.append(optimizer)
        self.order.add(optimizer)
        self._hook(optimizer)

    def _hook(self, optimizer: Optimizer) -> None:
        before = optimizer.register_step_pre_hook(self.doze.step_begins)
        after = optimizer.register_step_post_hook(self.doze.step_ended)
        loaded = guarded(lambda *_: self._loaded(optimizer=True), self.failed)
        state = optimizer.register_load_state_dict_post_hook(loaded)
        self._ends += [before.remove, after.remove, state.remove]

    def _loaded(self, keys: Any = None, *, optimizer: bool = False) -> None:
        """Weights or the state of an optimizer were loaded; `keys` are the names that did not
        match."""
        if self.ours:
            return
        self.ledger.settle()
        if optimizer:
            self.restarts.optimizer_loaded(self.steps)
        else:
            absent = len(getattr(keys, "missing_keys", ()))
            names = len(self.model.state_dict()) if absent else 1
            self.restarts.loaded(self.steps, absent / max(1, names))

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
        self._filters = None
        self.steps, self.last = step, time.perf_counter()
        self.pace.gone_back(step)
        self._hooks = (step, self.pace.hooks)
        self.turn_over()

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
        for end in self._ends:
            end()
        self._ends.clear()
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
        self._compiled = True
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
            if not self._compiled:
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
                self._look = Look(self.model, self.optimizers, compiled=self._compiled)
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
            self._counted(loss)
        if self.doze.asleep:
            self.order.backward_dozed()
        else:
            self.order.backward_begins(loss, looking=self._look is not None)
        if self._look is not None:
            self._look.backward_begins()
        self.pace.hooks += time.perf_counter() - began

    def _counted(self, loss: Tensor) -> None:
        """A loss of the step that is under way."""
        if self.doze.asleep:
            if loss.is_cpu:
                self.notes.values.append(loss.item())
            else:  # reading it would wait
                self.notes.losses.append(loss.detach())
            if not (self.steps + 1) % EVERY:
                self.memory.loss(self.steps + 1, loss)
            return
        self.memory.loss(self.steps + 1, loss)
        if not self.hidden.done:
            self.hidden.look(loss)
        if self.notes.backward(loss) and self._look is not None:
            self._note_objective(loss, self._look)

    def _note_objective(self, loss: Tensor, look: Look) -> None:
        if len(self.notes.objectives) > MOST_TAPES:
            return
        found = self.notes.objective(loss, look.losses_inside())
        if found is None:
            self._note_severed(loss)
            return
        judged = next((each for each in losses_of(found) if each.name in OVER_CLASSES), None)
        if judged is not None and len(judged.args) > 1:
            self.evaluation.scored(*judged.args[:2])
            self.order.scored(self.notes.calls, *judged.args[:2])
        self.tally.note(self.steps + 1, found)
        if len(self.samples) < SAMPLES:
            sample = self.notes.sample(found, self.steps + 1)
            if sample.scale == 1.0:  # otherwise the scaling was seen on the tape
                sample.loss /= self.scale
            self._hand_over(sample)

    def _hand_over(self, sample: Sample) -> None:
        self.samples.append(sample)
        if self._on_sample is not None:
            began = time.perf_counter()
            self.ours = True
            try:
                self._on_sample(sample)
            finally:
                self.ours = False
            spent = time.perf_counter() - began
            self.pace.leave_out(spent)

    def _note_severed(self, loss: Tensor) -> None:
        """A first loss that no call leads to from the model: handed over for that alone."""
        calls = [each for each in self.notes.calls if each.of_module]
        if self.samples or not calls:
            return
        # A penalty on the weights may be left of a loss that was made a number.
        besides = loss.grad_fn is not None
        if besides and not self.notes.made_a_number(calls, loss):
            return
        severed = Objective(tuple(calls), loss.detach() if besides else loss)
        sample = self.notes.sample(severed, self.steps + 1)
        sample.besides = besides
        self._hand_over(sample)

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
        if self.steps + 1 >= self.wakes:
            self.turn_over()
        if self.on_step is not None:
            self.on_step(self.steps)

    def turn_over(self) -> None:
        """Whether the steps to come are told by their losses alone, and until when."""
        step, hooks = self._hooks
        if self.doze.asleep:
            spent = self.pace.hooks - hooks
            self.pace.heard(spent, self.steps - step, everything=False)
        self._hooks = (self.steps, self.pace.hooks)
        self.pace.steps = self.steps
        self.wakes = self.pace.wakes(self.steps + 1)
        asleep = self.wakes > self.steps + 1
        if asleep != self.doze.asleep:
            self.doze.asleep = asleep
            self.doze.few = self.finite.few
            self.order.rest(asleep)
        if asleep and not self._compiled:
            self.roots.rest(self.doze.call)
        else:
            self.roots.wake()

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
            self.pace.heard(self.pace.hooks - self._hooks[1], everything=True)

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
        for each in look.norms:
            known = self.norms.get(each.name)
            least = min(each.values, known.values) if known is not None else each.values
            self.norms[each.name] = dataclasses.replace(each, values=least)
        return found

    def _fallen(self, look: Look) -> dict[str, float | None]:
        """The fall of the loss on the batch of this step, against what its gradient promised."""
        if self._strange or self._compiled or look.promised is None:
            return {}
        self.ours = True
        try:
            noted = self.notes.objectives
            fallen = self._efficacy.fallen(noted, self.notes.losses)
            alone = fallen is not None and len(noted) == 1
            if alone and self._efficacy.turns(self.steps):
                self._efficacy.other_mode(noted[0], self.steps, scale=self.scale)
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
        steps = Steps(**self.rows.columns(), total=self.steps)
        found: list[object] = [steps, self.table.facts(), self.order.facts(), self.cost()]
        if self.evaluation.facts().epochs:
            found.append(self.evaluation.facts())
        found += self.tally.facts()
        found.append(self.passing.facts())
        if self.nonfinite is not None:
            found.append(self.nonfinite)
        if self.ungraded and not self.steps:
            held = sum(len(each["params"]) for e in self.optimizers for each in e.param_groups)
            found.append(Reach(attached=False, held=held, cuts=(Cut(operation="no_grad"),)))
        found += [self.memory.facts(), self.hidden.fact, self.restarts.facts()]
        if self.norms:
            found.append(Norms(norms=tuple(self.norms.values()), step=self.steps))
        found += self._efficacy.facts()
        if self.steps:
            found.append(self._filters_now())
        return found

    def _filters_now(self) -> Filters:
        """Read when the steps have doubled since the last time, and when the watch is over."""
        last = self._filters
        if last is None or (self.over and last.step < self.steps) or self.steps >= 2 * last.step:
            early = last is None and not self.over and self.steps < FIRST_FILTERS
            ours, self.ours = self.ours, True  # a weight that is computed runs modules
            try:
                last = Filters() if early else filters_of(self.model, self.steps)
            finally:
                self.ours = ours
            self._filters = None if early else last
        return last

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
