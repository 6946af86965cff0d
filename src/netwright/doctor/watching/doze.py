"""A step that is told by its loss alone: all that is done for it, in as few calls as can be.

Between two of them a network runs through megabytes, and every function called here is fetched from
memory anew: a call takes some five microseconds, not a tenth of one. What the awake watch spreads
over its parts is therefore written out here, on the parts' own counters; whatever is out of the
ordinary is left to the awake watch.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.setup_facts import number_of
from netwright.doctor.watching.growth import EVERY
from netwright.doctor.watching.ledger import MOST
from netwright.doctor.watching.notes import MOST_BACKWARDS

if TYPE_CHECKING:
    from netwright.doctor.watching.watcher import Watcher

FIRST_BATCHES = 128
"""Steps of which every batch is told from the others."""

_clock = time.perf_counter
_graph_task = torch._C._current_graph_task_id
_transform = torch._C._functorch.peek_interpreter_stack


class Doze:
    """What a watcher does while it is asleep; its hooks come here first."""

    def __init__(self, watcher: Watcher) -> None:
        self.asleep = False
        """Whether this step is told by its loss alone: most are, where hearing more is dear."""
        self.few: Tensor | None = None
        """The parameter whose gradient is read value by value."""
        self.wakes = 1
        """The step before which is found out who hears it."""
        self._heard = (0, 0.0)
        """The last step that was heard of in the same way as the one before it; what the hooks had
        taken by then."""
        self._watcher = watcher
        self._order = watcher.order
        self._notes = watcher.notes
        self._pace = watcher.pace

    def call(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """The one door that the loop calls is called."""
        if torch.compiler.is_compiling():
            return
        watcher = self._watcher
        if watcher.ours or _graph_task() != -1:
            return
        if "forward" in module.__dict__ or not torch.is_grad_enabled():
            watcher.roots.begins_only(module, args, kwargs)
        elif _transform() is None:
            try:
                self.forward(module, args, kwargs)
            except Exception as error:
                watcher.failed(error)

    def forward(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A forward pass that takes gradients begins."""
        began = _clock()
        watcher, order = self._watcher, self._order
        order.calls[id(module)] = order.calls.get(id(module), 0) + 1
        order.in_eval = not watcher.model.training
        if order.fresh:
            order.hold_against_last_step()
        if order.block[0]:
            order.close_block()
        self._notes.last_call = (module, args, kwargs)
        if not order.began:
            order.began = True
            if watcher.evaluation.open:
                watcher.evaluation.closes(watcher.steps)
            if watcher.steps < FIRST_BATCHES:
                order.batch((args, kwargs))
                watcher.passing.batch(order.latest)
            else:
                order.latest = None
                watcher.passing.batches += 1
        self._pace.hooks += _clock() - began

    def backward_begins(self, tensors: Any, *rest: Any, **named: Any) -> None:
        """The loop takes the gradient of `tensors`, what it calls its loss."""
        watcher, order, values = self._watcher, self._order, self._notes.values
        plain = self.asleep and order.began and type(tensors) is Tensor and not watcher.ours
        if not plain or tensors.numel() != 1 or not tensors.is_cpu or len(values) >= MOST_BACKWARDS:
            watcher.backward_begins(tensors)
            return
        began = _clock()
        try:
            values.append(tensors.item())
            if not (watcher.steps + 1) % EVERY:
                watcher.memory.loss(watcher.steps + 1, tensors)
        except Exception as error:
            watcher.failed(error)
        order.counts["backwards"] += 1
        order.backwards_in_step += 1
        order.idle += 1
        if order.idle > order.most_idle:
            order.most_idle = order.idle
        self._pace.hooks += _clock() - began

    def backward_ended(self, *rest: Any, **named: Any) -> None:
        watcher = self._watcher
        if not self.asleep or watcher.in_step or watcher.scale != 1.0:
            watcher.backward_ended()

    def step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer is about to move the weights: is what it moves them by finite?"""
        watcher = self._watcher
        if not self.asleep or watcher.ours or watcher.in_step:
            watcher.step_begins(optimizer)
            return
        began = _clock()
        watcher.in_step = True
        values, few = self._notes.values, self.few
        try:
            gradient = few.grad if few is not None else None
            if gradient is None or not values:
                watcher.check()
            elif math.isfinite(values[-1] + sum(gradient.tolist())):
                watcher.finite.harmless = 0
            else:
                watcher.check()
        except Exception as error:
            watcher.failed(error)
        self._pace.hooks += _clock() - began

    def step_ended(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """A step is over."""
        watcher, order, values = self._watcher, self._order, self._notes.values
        if not self.asleep or len(values) != 1 or watcher.ours or watcher.inner:
            watcher.step_ended(optimizer)
            return
        began = _clock()
        try:
            watcher.in_step = False
            watcher.steps = step = watcher.steps + 1
            groups = optimizer.param_groups
            rate = groups[0].get("lr") if len(groups) == 1 else None
            if type(rate) is not float:
                rate = rate_of(optimizer)
            waiting = watcher.ledger.waiting
            waiting.append(
                (step, values[0] / watcher.scale, rate, began - watcher.last, watcher.wait,
                 watcher.epoch)
            )  # fmt: skip
            watcher.last = began
            watcher.wait = 0.0
            if len(waiting) >= MOST:
                watcher.ledger.settle()
            if not step % EVERY:
                watcher.memory.stepped(step)
            order.slept()
            values.clear()
            self._notes.last_call = None
            self._pace.hooks += _clock() - began
            if step + 1 >= self.wakes:
                self.turn_over()
            if watcher.on_step is not None:
                watcher.on_step(step)
        except Exception as error:
            watcher.failed(error)

    def turn_over(self) -> None:
        """Whether the steps to come are told by their losses alone, and until when."""
        watcher, pace = self._watcher, self._pace
        step, hooks = self._heard
        if self.asleep:
            pace.heard(pace.hooks - hooks, watcher.steps - step, everything=False)
        self._heard = (watcher.steps, pace.hooks)
        pace.steps = watcher.steps
        self.wakes = pace.wakes(watcher.steps + 1)
        asleep = self.wakes > watcher.steps + 1
        if asleep != self.asleep:
            self.asleep = asleep
            self.few = watcher.finite.few
            self._order.rest(asleep)
        if asleep and not watcher.compiles:
            watcher.roots.rest(self.call)
        else:
            watcher.roots.wake()

    @property
    def hooks_before(self) -> float:
        """What the hooks had taken before the step that is under way, while awake."""
        return self._heard[1]

    def gone_back(self, step: int) -> None:
        """The steps after `step` are taken again."""
        self._heard = (step, self._pace.hooks)
        self.turn_over()


def rate_of(optimizer: Optimizer) -> float | None:
    """The largest rate among its groups; None where an optimizer of another make has none."""
    rates = (number_of(each.get("lr")) for each in optimizer.param_groups)
    return max((each for each in rates if each is not None), default=None)
