"""What is heard of a script's training: its batches as the model and the loss get them, its losses,
and how the one comes from what the loader gave."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.doctor.patient import LOSSES, first_tensor
from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.program import Case, Program
from netwright.doctor.watching.sources import pair_of
from netwright.doctor.watching.taps import BACKWARD, DELIVERED, Tap
from netwright.tasks.repair.changes import INPUTS, TARGETS, Change, change_between

MOST = 2000
"""Samples that are kept."""

KEPT_BYTES = 128_000_000

Pair = tuple[Tensor, Tensor]


class Hearing:
    """Listens to the training of a program; `passed` is told the number of each backward pass,
    after `looked` where it is one of those at which to look around."""

    def __init__(
        self, program: Program, *, looked: Callable[[], None], passed: Callable[[int], None]
    ) -> None:
        self._program = program
        self._looked, self._told = looked, passed
        self._passes = 0
        self.paused = False
        """Whether what is heard is none of the script's."""
        self._model: Any = None
        self._call: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None
        self._batch: tuple[Tensor, Tensor | None] | None = None
        self.loss = ""
        """The name of the first loss."""
        self.threshold: float | None = None
        """From where on an output says yes, of a loss of two classes."""
        self.pairs: list[Pair] = []
        self._bytes = 0
        self._samples = 0
        self.inputs: Change | None = None
        self.targets: Change | None = None
        self._walked: Any = None
        self.trained_on: Any = None
        """The data set whose batches went into a loss with a gradient."""
        self._losses: list[Tensor] = []
        self._first = math.nan
        for name in LOSSES:
            Tap(F, name).listen(None, functools.partial(self._heard, name))
        BACKWARD.listen(None, self._backward)
        DELIVERED.listen(None, self._delivered)

    @property
    def case(self) -> Case | None:
        """The patient who took most steps."""
        cases = [each for each in self._program.cases if each.doctor is not None]
        return max(cases, key=lambda each: each.doctor.watcher.steps, default=None)  # type: ignore[union-attr]

    @property
    def tied(self) -> bool:
        """Whether it is known how a batch becomes what the model and the loss get."""
        return self.inputs is not None and self.targets is not None

    @property
    def fallen(self) -> float:
        """The last losses over the first one; not a number where that cannot be said."""
        if not self._losses or not self._first > 0:
            return math.nan
        mean = float(torch.stack([each.float() for each in self._losses]).mean())
        return mean / self._first if math.isfinite(mean) else math.inf

    @property
    def _ours(self) -> bool:
        doctors = [each.doctor for each in self._program.cases if each.doctor is not None]
        return self.paused or any(each.watcher.ours for each in doctors)

    def _backward(self, *_: Any, **__: Any) -> None:
        if self._ours:
            return
        self._passes += 1
        with contextlib.suppress(Exception):  # the loop must not notice
            self._listen()
            if not self._passes & (self._passes - 1) or self._passes % 50 == 0:
                self._looked()
        self._told(self._passes)

    def _listen(self) -> None:
        """Hear the model that is trained; take note of a batch of a loss by hand."""
        case = self.case
        if case is not None and case.doctor is not None:
            model = case.doctor.patient.model
            if model is not self._model:
                self._model, self._call = model, None
                model.register_forward_hook(Hook(self._called), with_kwargs=True)
        if not self.loss and self._call is not None and self._batch is not None:
            self._by_hand()

    def _by_hand(self) -> None:
        """A loss that is none of torch's: the labels of the batch are its target."""
        assert self._call is not None
        assert self._batch is not None
        (args, kwargs, _), self._call = self._call, None
        labels, inputs = self._batch[1], args[0] if len(args) == 1 and not kwargs else None
        if isinstance(inputs, Tensor) and labels is not None and len(labels) == len(inputs):
            self._take(inputs.detach(), labels.detach())

    def _take(self, inputs: Tensor, target: Tensor) -> None:
        """A batch as the model and the loss got it."""
        self.trained_on = self._walked if self.trained_on is None else self.trained_on
        self._learn(inputs, target)
        if self._samples < MOST and self._bytes < KEPT_BYTES:
            pair = (inputs.clone(), target.clone())
            self.pairs.append(pair)
            self._samples += len(target)
            self._bytes += sum(each.numel() * each.element_size() for each in pair)

    def _called(self, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if not self._ours and torch.is_grad_enabled():
            self._call = (args, kwargs, output)

    def _delivered(self, batch: Any, iterator: Any) -> None:
        if not self._ours:
            with contextlib.suppress(Exception):
                self._batch = pair_of(batch)
                self._walked = getattr(iterator, "_dataset", None)

    def _heard(self, name: str, result: Any, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(Exception):  # the loop must not notice
            self._loss_heard(name, result, *args, **kwargs)

    def _loss_heard(self, name: str, result: Any, *args: Any, **kwargs: Any) -> None:
        """A loss was computed: its target belongs to the last call of the model."""
        given = [*args, *kwargs.values()]
        tensors = [each for each in given if isinstance(each, Tensor)]
        if self._ours or len(tensors) < 2 or not tensors[0].requires_grad:
            return
        if isinstance(result, Tensor) and result.ndim == 0:
            value = result.detach()
            self._first = float(value) if math.isnan(self._first) else self._first
            self._losses = [*self._losses[-9:], value]
        self.loss = self.loss or name
        if self._call is None:
            return
        (call_args, call_kwargs, output), self._call = self._call, None
        judged = first_tensor(output)
        inputs = call_args[0] if len(call_args) == 1 and not call_kwargs else None
        target = tensors[1]
        if not isinstance(inputs, Tensor) or judged is None or len(target) != len(inputs):
            return
        if self.threshold is None:
            self.threshold = _threshold(name, judged.detach(), tensors[0].detach())
        self._take(inputs.detach(), target.detach())

    def _learn(self, inputs: Tensor, target: Tensor) -> None:
        """How the loop makes the model's input and the loss's target of a batch."""
        if self.tied or self._batch is None:
            return
        given, labels = self._batch
        self._batch = None
        if labels is None or len(given) != len(inputs):
            return
        self.inputs = change_between(INPUTS, given, inputs)
        self.targets = change_between(TARGETS, labels, target)


def _threshold(name: str, output: Tensor, judged: Tensor) -> float | None:
    """From where on the model's output says yes."""
    if "binary" not in name:
        return None
    if output.numel() != judged.numel() or "with_logits" in name:
        return 0.0
    same = torch.allclose(output.flatten().float(), judged.flatten().float())
    return 0.5 if same else 0.0
