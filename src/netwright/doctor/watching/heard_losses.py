"""What a loss tells of which the loop takes the gradient: its value, how it came to be, its batch.

The first batches are handed over for the check-up, each before the step on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from netwright.doctor.patient import OVER_CLASSES, Sample, losses_of
from netwright.doctor.tape import Objective
from netwright.doctor.watching.growth import EVERY
from netwright.doctor.watching.look import Look
from netwright.doctor.watching.notes import MOST_TAPES

if TYPE_CHECKING:
    from netwright.doctor.watching.watcher import Watcher

SAMPLES = 3
"""First batches that are kept for the check-up, by reference."""


class HeardLosses:
    """The losses of a loop, as they come by."""

    def __init__(self, watcher: Watcher, on_sample: Callable[[Sample], None] | None) -> None:
        """`on_sample` is called with each of the first batches."""
        self._watcher = watcher
        self._notes = watcher.notes
        self._on_sample = on_sample
        self._samples: list[Sample] = []

    def heard(self, loss: Tensor, look: Look | None) -> None:
        """A loss of the step that is under way, which is looked at or not."""
        watcher, notes = self._watcher, self._notes
        if watcher.doze.asleep:
            if loss.is_cpu:
                notes.values.append(loss.item())
            else:  # reading it would wait
                notes.losses.append(loss.detach())
            if not (watcher.steps + 1) % EVERY:
                watcher.memory.loss(watcher.steps + 1, loss)
            return
        watcher.memory.loss(watcher.steps + 1, loss)
        if not watcher.hidden.done:
            watcher.hidden.look(loss)
        if notes.backward(loss) and look is not None:
            self._follow(loss, look)

    def _follow(self, loss: Tensor, look: Look) -> None:
        """Back from the loss to the calls of the model that led to it."""
        watcher, notes = self._watcher, self._notes
        if len(notes.objectives) > MOST_TAPES:
            return
        found = notes.objective(loss, look.losses_inside())
        if found is None:
            self._severed(loss)
            return
        judged = next((each for each in losses_of(found) if each.name in OVER_CLASSES), None)
        if judged is not None and len(judged.args) > 1:
            watcher.evaluation.scored(*judged.args[:2])
            watcher.order.scored(notes.calls, *judged.args[:2])
        watcher.tally.note(watcher.steps + 1, found)
        if len(self._samples) < SAMPLES:
            sample = notes.sample(found, watcher.steps + 1)
            if sample.scale == 1.0:  # otherwise the scaling was seen on the tape
                sample.loss /= watcher.scale
            self._hand_over(sample)

    def _severed(self, loss: Tensor) -> None:
        """A first loss that no call leads to from the model: handed over for that alone."""
        notes = self._notes
        calls = [each for each in notes.calls if each.of_module]
        if self._samples or not calls:
            return
        # A penalty on the weights may be left of a loss that was made a number.
        besides = loss.grad_fn is not None
        if besides and not notes.made_a_number(calls, loss):
            return
        severed = Objective(tuple(calls), loss.detach() if besides else loss)
        sample = notes.sample(severed, self._watcher.steps + 1)
        sample.besides = besides
        self._hand_over(sample)

    def _hand_over(self, sample: Sample) -> None:
        watcher = self._watcher
        self._samples.append(sample)
        if self._on_sample is not None:
            began = time.perf_counter()
            watcher.ours = True
            try:
                self._on_sample(sample)
            finally:
                watcher.ours = False
            spent = time.perf_counter() - began
            watcher.pace.leave_out(spent)
