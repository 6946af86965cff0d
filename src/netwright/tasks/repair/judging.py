"""The judge of a script's training: how well its model does on data that it validates by, else on
data that it is trained on. The loss does not count, for a patch may have changed it.

What the script does between its loader and its model is found by comparing the two.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, Subset

from netwright.core.languages import Phrase
from netwright.core.unheard import unheard
from netwright.doctor.patient import LOSSES, first_tensor
from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.judge import Judge, judge_for
from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.living import living
from netwright.doctor.watching.program import Case, Program
from netwright.doctor.watching.sources import pair_of
from netwright.doctor.watching.taps import BACKWARD, DELIVERED, Tap
from netwright.records.findings import Finding
from netwright.tasks.repair.jobs import Mark

MOST = 2000
"""Samples that judge."""

SECONDS = 10.0
"""What reading them may take."""

KEPT_BYTES = 128_000_000

Pair = tuple[Tensor, Tensor]

Change = Callable[[Tensor], Tensor]


class Bench:
    """Hears what a program trains on, and judges its model."""

    def __init__(self, program: Program, backward: Callable[[int], None]) -> None:
        self._program = program
        self._passes = 0
        self._told = backward
        self._judging = False
        self._model: Any = None
        self._call: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None
        self._batch: tuple[Tensor, Tensor | None] | None = None
        self._loader: DataLoader[Any] | None = None
        self._judges: DataLoader[Any] | None = None
        self._loss = ""
        self._threshold: float | None = None
        self._pairs: list[Pair] = []
        self._bytes = 0
        self._samples = 0
        self._inputs: Change | None = None
        self._targets: Change | None = None
        self._tied = False
        self._losses: list[Tensor] = []
        self._first = math.nan
        for name in LOSSES:
            Tap(F, name).listen(None, functools.partial(self._heard, name))
        BACKWARD.listen(None, self._backward)
        DELIVERED.listen(None, self._delivered)

    # What is heard

    @property
    def case(self) -> Case | None:
        """The patient who took most steps."""
        cases = [each for each in self._program.cases if each.doctor is not None]
        return max(cases, key=lambda each: each.doctor.watcher.steps, default=None)  # type: ignore[union-attr]

    @property
    def _ours(self) -> bool:
        doctors = [each.doctor for each in self._program.cases if each.doctor is not None]
        return self._judging or any(each.watcher.ours for each in doctors)

    def _backward(self, *_: Any, **__: Any) -> None:
        if self._ours:
            return
        self._passes += 1
        with contextlib.suppress(Exception):  # the loop must not notice
            self._listen()
            if not self._passes & (self._passes - 1) or self._passes % 50 == 0:
                self._hold()
        self._told(self._passes)

    def _hold(self) -> None:
        """Hold the loaders: those of a function or an object are gone when the script has ended."""
        self._loader = self._training_loader() or self._loader
        self._judges = self._judging_loader() or self._judges

    def _listen(self) -> None:
        """Hear the model that is trained; take note of a batch of a loss by hand."""
        case = self.case
        if case is not None and case.doctor is not None:
            model = case.doctor.patient.model
            if model is not self._model:
                self._model, self._call = model, None
                model.register_forward_hook(Hook(self._called), with_kwargs=True)
        if not self._loss and self._call is not None and self._batch is not None:
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
        self._learn(inputs, target)
        if self._samples < MOST and self._bytes < KEPT_BYTES:
            pair = (inputs.clone(), target.clone())
            self._pairs.append(pair)
            self._samples += len(target)
            self._bytes += sum(each.numel() * each.element_size() for each in pair)

    def _called(self, module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if not self._ours and torch.is_grad_enabled():
            self._call = (args, kwargs, output)

    def _delivered(self, batch: Any, iterator: Any) -> None:
        if not self._ours:
            with contextlib.suppress(Exception):
                self._batch = pair_of(batch)

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
        self._loss = self._loss or name
        if self._call is None:
            return
        (call_args, call_kwargs, output), self._call = self._call, None
        judged = first_tensor(output)
        inputs = call_args[0] if len(call_args) == 1 and not call_kwargs else None
        target = tensors[1]
        if not isinstance(inputs, Tensor) or judged is None or len(target) != len(inputs):
            return
        if self._threshold is None:
            self._threshold = _threshold(name, judged.detach(), tensors[0].detach())
        self._take(inputs.detach(), target.detach())

    def _learn(self, inputs: Tensor, target: Tensor) -> None:
        """How the loop makes the model's input and the loss's target of a batch."""
        if self._tied or self._batch is None:
            return
        given, labels = self._batch
        self._batch = None
        if labels is None or len(given) != len(inputs):
            return
        self._inputs = _change(INPUTS, given, inputs)
        self._targets = _change(TARGETS, labels, target)
        self._tied = self._inputs is not None and self._targets is not None

    # Judging

    def mark(
        self,
        step: int,
        *,
        findings: tuple[Finding, ...] = (),
        unfit: Phrase | None = None,
        last: bool = False,
        error: str = "",
    ) -> Mark:
        """How the run stands; nothing of it is changed by looking."""
        fallen = math.nan
        if self._losses and self._first > 0:
            fallen = float(torch.stack([each.float() for each in self._losses]).mean())
            fallen /= self._first
            if not math.isfinite(fallen) and not error:
                error = "the loss is not finite"
        mark = Mark(
            step=step, fallen=fallen, last=last, error=error, findings=findings, unfit=unfit
        )
        return self._judged(mark) if not error else mark

    def _judged(self, mark: Mark) -> Mark:
        case = self.case
        model = case.doctor.patient.model if case is not None and case.doctor is not None else None
        if model is None:
            return mark
        self._judging, random = True, RandomState()
        modes = [(each, each.training) for each in model.modules()]
        try:
            model.eval()
            with torch.no_grad(), unheard():
                self._hold()
                for source, data in (
                    ("validation", self._validation),
                    ("training", self._training),
                    ("passed", self._kept),
                ):
                    found = None
                    with contextlib.suppress(Exception):
                        found = self._score(model, data())
                    if found is not None:
                        kind, value, doubt, samples = found
                        return dataclasses.replace(
                            mark, score=value, kind=kind, doubt=doubt, samples=samples,
                            source=source,
                        )  # fmt: skip
            return mark
        finally:
            for each, training in modes:
                each.training = training
            random.restore()
            self._judging = False

    def _score(self, model: Any, data: Iterable[Pair]) -> tuple[str, float, float, int] | None:
        place = next((each.device for each in model.parameters()), torch.device("cpu"))
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        samples, began = 0, time.monotonic()
        for inputs, target in data:
            output = first_tensor(model(inputs.to(place)))
            if output is None or len(output) != len(target):
                return None
            outputs.append(output.detach().cpu())
            targets.append(target.detach().cpu())
            samples += len(target)
            if samples >= MOST or time.monotonic() - began > SECONDS:
                break
        if not samples:
            return None
        judge: Judge = judge_for(outputs[0], targets, loss=self._loss)
        if judge.kind == "accuracy of labels" and self._threshold is not None:
            judge = judge.reading(self._threshold)
        parts = [judge.reduced(*each) for each in zip(outputs, targets, strict=True)]
        value = judge.score(parts)
        if judge.kind != "R2" and not all(bool(each.isfinite().all()) for each in outputs):
            value = -math.inf
        return judge.kind, value, judge.doubt(value, samples), samples

    def _validation(self) -> Iterator[Pair]:
        loader = self._judges
        return self._read(loader) if loader is not None else iter(())

    def _training(self) -> Iterator[Pair]:
        loader = self._loader
        return self._read(loader) if loader is not None else iter(())

    def _kept(self) -> Iterator[Pair]:
        return iter(self._pairs)

    def _training_loader(self) -> DataLoader[Any] | None:
        case = self.case
        if case is None or case.doctor is None:
            return None
        fed = self._program.feeding.training.get(id(case.doctor.watcher))
        return fed.loader() if fed is not None else None

    def _judging_loader(self) -> DataLoader[Any] | None:
        training = self._loader
        known = self._program.feeding.judges()
        if known is not None and known is not training:
            return known
        own = vars(sys.modules["__main__"])
        for name, each in own.items():
            said = re.search(r"val|test|dev|eval", name, re.IGNORECASE)
            if said and isinstance(each, DataLoader) and each is not training:
                return each
        others = [each for each in living(DataLoader) if each is not training]
        if training is not None and len(others) == 1 and others[0].dataset is not training.dataset:
            return others[0]
        return None

    def _read(self, loader: DataLoader[Any]) -> Iterator[Pair]:
        """At most `MOST` samples in an order that is the same in every run, as the model and the
        loss would get them."""
        data = loader.dataset
        if not self._tied or isinstance(data, IterableDataset):
            return
        count = len(data)  # type: ignore[arg-type]
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MOST]
        reader = DataLoader(
            Subset(data, order.tolist()),
            batch_size=loader.batch_size or 64,
            collate_fn=loader.collate_fn,
        )
        assert self._inputs is not None
        assert self._targets is not None
        for batch in reader:
            pair = pair_of(batch)
            if pair is None or pair[1] is None:
                return
            yield self._inputs(pair[0]), self._targets(pair[1])


def _threshold(name: str, output: Tensor, judged: Tensor) -> float | None:
    """From where on the model's output says yes."""
    if "binary" not in name:
        return None
    if output.numel() != judged.numel() or "with_logits" in name:
        return 0.0
    same = torch.allclose(output.flatten().float(), judged.flatten().float())
    return 0.5 if same else 0.0


def _change(
    known: Iterable[Callable[[Tensor], Change]], given: Tensor, wanted: Tensor
) -> Change | None:
    """What makes `wanted` of `given`."""
    found = (make(wanted) for make in known)
    return next((each for each in found if _gives(each, given, wanted)), None)


def _gives(change: Change, given: Tensor, wanted: Tensor) -> bool:
    try:
        made = change(given)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    if made.shape != wanted.shape:
        return False
    return torch.allclose(made.float().cpu(), wanted.float().cpu(), rtol=1e-4, atol=1e-5)


def _shaped(like: Tensor, change: Change) -> Change:
    shape, kind = tuple(like.shape[1:]), like.dtype
    return lambda given: change(given.to(kind)).reshape(len(given), *shape)


INPUTS: tuple[Callable[[Tensor], Change], ...] = (
    lambda like: _shaped(like, lambda given: given),
    lambda like: _shaped(like, lambda given: given / 255),
    lambda like: _shaped(like, lambda given: given / 255 * 2 - 1),
    lambda like: _shaped(like, lambda given: given * 2 - 1),
    lambda like: _shaped(like, lambda given: given / 16),
)
"""What loops do with a batch of inputs: nothing but shape and type, or a usual scaling."""

TARGETS: tuple[Callable[[Tensor], Change], ...] = (
    lambda like: _shaped(like, lambda given: given),
    lambda like: _shaped(like, lambda given: given - 1),
    lambda like: lambda given: F.one_hot(given.long(), like.shape[1]).to(like.dtype),
    lambda like: lambda given: given.argmax(1).to(like.dtype),
)
