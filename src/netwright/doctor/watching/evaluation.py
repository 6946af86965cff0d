"""What a loop measures between its training: losses and scores of forwards without gradients.

After such a forward pass torch's functions are heard until the loop goes on: the loss it computes
and the labels it compares with are then known, whatever the loop keeps of them. A block of such
forwards, between two trainings, closes an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netwright.doctor.modes import put_on, take_off
from netwright.doctor.patient import LOSSES, first_tensor, tensors_in
from netwright.records.facts.epochs import EpochFact, Epochs

MOST = 512
"""Epochs that are remembered; of more, every other one of the older half is left out."""

SAME_PLACE = {
    "to", "cpu", "cuda", "detach", "squeeze", "view", "reshape", "flatten", "long", "int", "float",
    "double", "type", "getitem", "__getitem__",
}  # fmt: skip
"""Calls that hand on predictions or labels as they are."""


@dataclass
class _Block:
    """One evaluation: a loss, a weight and a share of right answers for each batch."""

    losses: list[tuple[float, int]] = field(default_factory=list)
    right: int = 0
    judged: int = 0
    used: bool = False
    """Whether anything was computed from what a forward gave."""
    across: bool = False
    """Whether predictions were taken along the batch."""
    broadcast: bool = False
    """Whether predictions in a row were compared with labels in a column."""
    sampled: bool = False
    """Whether one input was run through the model twice."""
    last: Tensor | None = None
    """The input of the last forward."""
    single: bool = False
    """Whether the largest of one score was looked for."""
    plain: bool = True
    """Whether all its losses are cross-entropies that bound the share of wrong answers."""
    known: int = 0
    """Labels that such losses counted."""
    proved: float = 0.0
    """Right answers that they prove at the least."""
    recalls: list[Tensor] = field(default_factory=list)
    """(2, C) for each batch: labels of each class, and those answered rightly."""


class Evaluation(TorchFunctionMode):
    """Hears the evaluations of one model."""

    def __init__(self) -> None:
        super().__init__()
        self._listening = False
        self._block: _Block | None = None
        self._pending: list[tuple[Tensor, int, Tensor | None]] = []
        self._predictions: dict[int, Tensor] = {}
        self._given: set[int] = set()
        """The tensors that the last forward gave, by id."""
        self._across: set[int] = set()
        """Predictions that were taken along the batch, by id."""
        self._epochs: list[EpochFact] = []
        self._train: list[float] = []
        self._right: list[tuple[int, int]] = []

    @property
    def open(self) -> bool:
        """Whether an evaluation is under way."""
        return self._block is not None

    def trained(self, loss: float | None) -> None:
        """One training step and its loss."""
        if loss is not None and math.isfinite(loss):
            self._train.append(loss)

    def scored(self, output: Tensor, target: Tensor) -> None:
        """The outputs (N, C, ...) of a training batch, before the step, and its classes."""
        if output.ndim > 1 and target.shape == (len(output), *output.shape[2:]):
            right = output.detach().argmax(1) == target
            self._right.append((int(right.sum()), right.numel()))

    def begins(self, step: int) -> None:
        """A forward pass without gradients begins after `step` steps."""
        self.off()
        if self._block is None and step:
            self._block = _Block()

    def ended(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """It has ended: a loss that it gives is noted, what the loop does with it is heard."""
        if self._block is not None:
            loss = _loss_in(module, output)
            first = first_tensor((args, kwargs))
            self._block.sampled |= first is not None and first is self._block.last
            self._block.last = first
            if loss is not None and first is not None:
                rows = len(first) if first.ndim else 1
                total = getattr(module, "reduction", "") == "sum"
                self._pending.append((loss.detach() / (rows if total else 1), rows, None))
            self._given = {id(each) for each in tensors_in(output, 3)}
            self._block.used |= loss is not None
            self._listening = True
            put_on(self)

    def closes(self, step: int) -> None:
        """Training goes on, or the watch ends."""
        self.off()
        block, self._block = self._block, None
        if block is None:
            return
        self._read(block)
        fact = _fact(len(self._epochs) + 1, step, self._train, self._right, block)
        self._epochs.append(fact)
        self._train, self._right = [], []
        if len(self._epochs) > MOST:
            half = MOST // 2
            del self._epochs[1:half:2]

    def cut(self, step: int) -> None:
        """Forget the evaluations after that step, and the training since the last that is kept."""
        self.off()
        self._block = None
        self._epochs = [each for each in self._epochs if each.step <= step]
        self._train, self._right = [], []

    def off(self) -> None:
        if not self._listening:
            return
        self._listening = False
        take_off(self)
        self._predictions.clear()
        self._across.clear()

    def facts(self) -> Epochs:
        return Epochs(epochs=tuple(self._epochs))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._listening:
            self._hear(getattr(func, "__name__", ""), args, kwargs or {}, result)
        return result

    def _hear(self, name: str, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        block = self._block
        if block is None:
            return
        if not block.used:
            taken = tensors_in((args, kwargs), 3)
            block.used = any(id(each) in self._given for each in taken)
        if name in LOSSES:
            if isinstance(result, Tensor) and result.numel() == 1 and isinstance(args[0], Tensor):
                rows = len(args[0]) if args[0].ndim else 1
                total = name_of_reduction(args, kwargs) == "sum"
                known = _counted(name, args, kwargs)
                self._pending.append((result.detach() / (rows if total else 1), rows, known))
                recall = recall_of(name, args, kwargs)
                if recall is not None:
                    block.recalls.append(recall)
        elif name in ("argmax", "max", "topk", "round", "gt", "__gt__"):
            part = result[1] if isinstance(result, tuple) and len(result) == 2 else result
            if isinstance(part, Tensor) and (name == "round" or not part.is_floating_point()):
                self._predictions[id(part)] = part
                if name in ("argmax", "max") and _along_batch(args, kwargs):
                    self._across.add(id(part))
                block.single |= name == "argmax" and _of_one(args, kwargs)
        elif name in SAME_PLACE:
            if isinstance(result, Tensor) and args and id(args[0]) in self._predictions:
                self._predictions[id(result)] = result
                if id(args[0]) in self._across:
                    self._across.add(id(result))
        elif (
            name in ("eq", "__eq__")
            and isinstance(result, Tensor)
            and result.ndim
            and any(id(each) in self._predictions for each in args if isinstance(each, Tensor))
        ):
            block.right += int(result.sum())
            block.judged += result.numel()
            block.broadcast |= _each_with_all(args)
            block.across |= any(id(each) in self._across for each in args)
        if len(self._pending) >= 256:
            self._read(block)

    def _read(self, block: _Block) -> None:
        if self._pending:
            values = torch.stack([each.float().cpu() for each, *_ in self._pending]).tolist()
            for value, (_, rows, known) in zip(values, self._pending, strict=True):
                block.losses.append((value, rows))
                if known is None or not math.isfinite(value):
                    block.plain = False
                else:
                    count = int(known)
                    block.known += count
                    block.proved += max(0.0, 1 - value / math.log(2)) * count
            self._pending.clear()


def _counted(name: str, args: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """How many labels a mean cross-entropy of classes, or of yes and no, counts; None where its
    value does not bound the share of wrong answers: weights, smoothing, soft labels, others."""
    known = dict(zip(("input", "target", "weight"), args, strict=False)) | kwargs
    target = known.get("target")
    if name == "binary_cross_entropy_with_logits" and isinstance(target, Tensor):
        weights = (known.get("weight"), kwargs.get("pos_weight"), *args[3:])
        if any(e is not None for e in weights) or kwargs.get("reduction", "mean") != "mean":
            return None
        sure = ((target == 0) | (target == 1)).all()
        return torch.where(sure, target.numel(), 0)
    if name not in ("cross_entropy", "nll_loss") or not isinstance(target, Tensor):
        return None
    if known.get("weight") is not None or known.get("label_smoothing") or len(args) > 3:
        return None
    if known.get("reduction", "mean") != "mean" or target.is_floating_point():
        return None
    return (target != known.get("ignore_index", -100)).sum()


CLASSES = 100
"""Classes up to which the recall of each is kept."""


def recall_of(name: str, args: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """(2, C): how often each class is the label, and how often it is answered then, by the scores
    (N, C) or the one logit (N,) that a loss is given; None for anything else."""
    known = dict(zip(("input", "target"), args, strict=False)) | kwargs
    scores, target = known.get("input"), known.get("target")
    if not isinstance(scores, Tensor) or not isinstance(target, Tensor):
        return None
    if name in ("cross_entropy", "nll_loss"):
        if scores.ndim != 2 or target.ndim != 1 or target.is_floating_point():
            return None
        classes, labels, said = scores.shape[1], target, scores.detach().argmax(1)
    elif name == "binary_cross_entropy_with_logits":
        if scores.shape != target.shape or scores.numel() != len(scores):
            return None
        labels = (target.detach() > 0.5).long().reshape(-1)
        classes, said = 2, (scores.detach() > 0).long().reshape(-1)
    else:
        return None
    if not 2 <= classes <= CLASSES or len(labels) != len(said):
        return None
    there = (labels >= 0) & (labels < classes)
    place = torch.where(there, labels, 0).long()
    counts = torch.zeros(2, classes, device=place.device)
    counts[0].scatter_add_(0, place, there.float())
    counts[1].scatter_add_(0, place, (there & (said == labels)).float())
    return counts


def _along_batch(args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the largest of (N, C) is looked for along N."""
    axis = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    given = args[0] if args else None
    return isinstance(given, Tensor) and given.ndim == 2 and axis in (0, -2)


def _of_one(args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the largest is looked for along an axis that holds one score."""
    axis = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    given = args[0] if args else None
    if not isinstance(given, Tensor) or not isinstance(axis, int):
        return False
    return -given.ndim <= axis < given.ndim and given.shape[axis] == 1


def _each_with_all(args: Any) -> bool:
    """Whether (N,) is compared with (N, 1)."""
    shapes = sorted((tuple(each.shape) for each in args if isinstance(each, Tensor)), key=len)
    if len(shapes) != 2 or len(shapes[0]) != 1 or shapes[0][0] < 2:
        return False
    return shapes[1] == (shapes[0][0], 1)


def _loss_in(module: nn.Module, output: Any) -> Tensor | None:
    """The loss that a module has computed itself: torch's own modules of losses do, and models
    that are given the labels too."""
    if isinstance(module, nn.modules.loss._Loss):
        found = output
    elif isinstance(output, Mapping):
        found = output.get("loss")
    else:
        found = None
    return found if isinstance(found, Tensor) and found.numel() == 1 else None


def name_of_reduction(args: Any, kwargs: dict[str, Any]) -> str:
    return str(kwargs.get("reduction", "mean"))


def _fact(
    epoch: int, step: int, train: list[float], right: list[tuple[int, int]], block: _Block
) -> EpochFact:
    finite = [(value, rows) for value, rows in block.losses if math.isfinite(value)]
    alike = len({tuple(each.shape) for each in block.recalls}) == 1
    recalls = torch.stack(block.recalls).sum(0).long().tolist() if alike else [(), ()]
    samples = sum(rows for _, rows in finite)
    mean = math.fsum(value * rows for value, rows in finite) / samples if samples else None
    error = None
    if mean is not None and len(finite) > 1:
        spread = math.fsum(rows * (value - mean) ** 2 for value, rows in finite) / samples
        error = math.sqrt(spread / (len(finite) - 1))
    # The later half of an epoch's steps is nearer to what the weights can do at its end.
    late = train[len(train) // 2 :]
    return EpochFact(
        epoch=epoch,
        step=step,
        train_loss=math.fsum(late) / len(late) if late else None,
        train_score=sum(r for r, _ in right) / sum(n for _, n in right) if right else None,
        val_loss=mean,
        val_loss_error=error,
        val_score=block.right / block.judged if block.judged else None,
        val_samples=max(samples, block.judged),
        val_least_score=block.proved / block.known
        if block.plain and block.known and block.known == block.judged
        else None,
        val_labels=tuple(recalls[0]),
        val_hits=tuple(recalls[1]),
        val_across=block.across,
        val_broadcast=block.broadcast,
        val_single=block.single,
        val_sampled=block.sampled,
        used=block.used,
    )
