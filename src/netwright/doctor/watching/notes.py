"""What is kept of the step that is under way: its losses, and the tapes that led to them.

Everything here is forgotten when the step has ended; a batch and its graph are held no longer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netwright.doctor.graph import leads_to
from netwright.doctor.patient import Sample, sample_of, tensors_in
from netwright.doctor.quiet import RandomState, Surroundings
from netwright.doctor.tape import Call, Objective, Tape, objective
from netwright.doctor.watching.efficacy import Noted
from netwright.doctor.watching.finite import Taped

MOST_CALLS = 64
"""Calls between the model and the backward pass up to which they are noted at every step, so that
a step that goes wrong can be run again: a microsecond each. Of more, at the steps looked at."""

MOST_BACKWARDS = 64
"""Backwards without a step of which something is kept."""

MOST_TAPES = 4
"""Of one step that are kept, and that are followed back from their losses."""


class Notes:
    """One step: its forwards, and its backwards, each on a loss."""

    def __init__(self) -> None:
        self.tape: Tape | None = None
        """From the model on, until the next backward has run on it."""
        self.losses: list[Tensor] = []
        self.values: list[float] = []
        """The losses of a step that is told by them alone, where they can be read at once."""
        self.taped: list[Taped] = []
        self.objectives: list[Noted] = []
        self._begin: RandomState | None = None
        self._surroundings: Surroundings | None = None
        self.last_call: tuple[nn.Module, Any, Any] | None = None
        self._used = False
        """Whether a backward ran on what is on the tape."""
        self._taping = True
        self._left: Tape | None = None

    @property
    def full(self) -> bool:
        return len(self.losses) >= MOST_BACKWARDS or len(self.values) >= MOST_BACKWARDS

    @property
    def seen(self) -> list[Tensor]:
        """The losses of the step so far, without their graphs."""
        return [torch.tensor(each) for each in self.values] or self.losses

    def begins(self, *, looking: bool) -> None:
        """The model is about to be called: a tape begins, unless one is waiting for its loss."""
        if (self.tape is not None and not self._used) or self.full:
            return
        self._used = False
        self.tape = None
        if looking or self._taping:
            self._begin = RandomState() if looking else RandomState.of_torch()
            self._surroundings = Surroundings.now()
            self.tape = Tape()

    def door(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """The last call, of which little else may be known."""
        self.last_call = (module, args, kwargs)

    def called(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """The model was called: from here on torch's functions are heard."""
        if self.tape is not None and output is not None:
            self.tape.note(module, args, kwargs, output)
            self.tape.on()

    def backward(self, loss: Tensor) -> bool:
        """A backward on a loss; says whether a tape led to it."""
        self.losses.append(loss.detach())
        self._used = True
        if self.tape is None:
            return False
        self.tape.off()
        self._taping = len(self.tape.calls) <= MOST_CALLS
        if len(self.taped) < MOST_TAPES:
            self.taped.append(Taped(self.tape, loss, *self._how))
        return True

    def objective(self, loss: Tensor, inside: Any) -> Objective | None:
        """The way from the model to the loss, if the tape reaches it; `inside` are losses that a
        module has computed itself."""
        assert self.tape is not None
        found = objective(self.tape, loss, inside)
        if found is not None:
            self.objectives.append((found, *self._how))
        return found

    def made_a_number(self, calls: list[Call], loss: Tensor) -> bool:
        """Whether something of the model was cut off, and no way in the graph of `loss` leads to
        what these calls of the model gave."""
        assert self.tape is not None
        if not any(each.graded for each in self.tape.cuts):
            return False
        ends = {
            each.grad_fn for call in calls for each in tensors_in(call.result) if each.requires_grad
        }
        return bool(ends) and not leads_to(loss, ends)

    def sample(self, found: Objective, step: int) -> Sample:
        """The batch of the newest tape, for the check-up."""
        assert self.tape is not None
        begin, surroundings = self._how
        sample = sample_of(found, random=begin, surroundings=surroundings, step=step)
        sample.cuts = tuple(self.tape.cuts)
        return sample

    @property
    def calls(self) -> list[Call]:
        return self.tape.calls if self.tape is not None else []

    @property
    def _how(self) -> tuple[RandomState, Surroundings]:
        assert self._begin is not None
        assert self._surroundings is not None
        return self._begin, self._surroundings

    def of_door(self) -> list[Taped]:
        """The last call of the model, made once more to be taped: with the random numbers of now.
        To be called where the model's state is kept safe."""
        if self.last_call is None:
            return []
        module, args, kwargs = self.last_call
        with torch.enable_grad():
            output = module(*args, **kwargs)
        made = next(iter(tensors_in(output)), None)
        if made is None:
            return []
        tape = Tape()
        tape.note(module, args, kwargs, output)
        return [Taped(tape, made, RandomState.of_torch(), Surroundings.now())]

    def hush(self) -> None:
        """Hear nothing more, for now."""
        if self.tape is not None:
            self.tape.off()

    def drop(self) -> None:
        """Give up the tape."""
        # Inside a backward that torch handles for the tape it comes back: it is dropped once more
        # when the watch is left.
        for each in (self._left, self.tape):
            if each is not None and not each.off():
                self._left = each
        self.tape = None

    def forget(self) -> None:
        """The step is over."""
        self.objectives.clear()
        self.taped.clear()
        self.forget_losses()

    def forget_losses(self) -> None:
        """A step that was told by them is over."""
        self.values.clear()
        if self.losses:
            self.losses.clear()
        self.last_call = None
