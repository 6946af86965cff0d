"""The order of things in a loop: forward, backward, step, clearing, and in which mode."""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.patient import rowwise, tensors_in
from netwright.doctor.tape import Call
from netwright.doctor.watching.book import Book
from netwright.doctor.watching.look import Look
from netwright.records.facts.loop import Loop

REMEMBERED = 4096
"""Batches whose fingerprints are kept."""

MODES = (
    nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase,
)  # fmt: skip
"""Modules that act otherwise in training than in evaluation."""

LIKE = {"detach", "softmax", "log_softmax", "cpu", "float", "clone", "to"}
"""Calls after which the largest of the logits is still the largest."""

COUNTS = (
    "steps", "backwards", "backwards_heard", "looked", "double_backwards", "unchanged_steps",
    "changed_steps",
    "training_forwards_in_eval", "evaluation_forwards_in_training",
    "evaluation_forwards", "repeated_batches", "distinct_batches", "evaluation_blocks",
    "evaluation_blocks_in_training", "evaluation_forwards_in_blocks",
)  # fmt: skip


BOOKED = (
    "stale_starts", "stale_checked", "steps_without_backward", "empty_steps", "heard",
    "cleared_backwards", "told_backwards",
)  # fmt: skip
"""Counted for each optimizer by itself."""


class Order:
    """Counts what happens; all of it costs some microseconds a step."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.began = False
        """Whether a training forward ran since the last step."""
        self.backwards_in_step = 0
        self.latest: int | None = None
        """The fingerprint of the newest batch, None where it has none."""
        self._model = model
        self._books = [Book(each) for each in optimizers]
        self._resting = False
        self.calls: dict[int, int] = {}
        """Forwards with gradients of each module that the loop calls: an encoder and a decoder are
        not two passes."""
        self.counts = dict.fromkeys(COUNTS, 0)
        self.idle = self.most_idle = 0
        self._loss: weakref.ref[Tensor] | None = None
        self._value = math.nan
        self.in_eval: bool | None = None
        self._was_training = 0
        self._first_eval_step: int | None = None
        self.block = [0, 0]
        """Forwards without gradients since the last training forward, and those in training."""
        self._sensitive = tuple(
            dict.fromkeys(type(each).__name__ for each in model.modules() if acts_by_mode(each))
        )
        self._normed = any(
            isinstance(each, nn.modules.batchnorm._NormBase) and each.track_running_stats
            for each in model.modules()
        )
        self._seen: set[int] = set()
        self._recent: deque[int] = deque(maxlen=REMEMBERED)
        self._graded: dict[str, bool] = {}
        self._versions: dict[str, tuple[int, int]] = {}
        self._moved: set[str] = set()
        self._not_held: tuple[str, ...] = ()
        self._not_in_model: tuple[int, int] = (0, 0)
        self._unchanged: tuple[str, ...] = ()
        self._misread = 0
        self._misread_sizes = (0, 0)
        self._lost: list[float] = []
        self.fresh = False
        """Whether the last step was looked at, and no forward pass has begun since."""

    def add(self, optimizer: Optimizer) -> None:
        self._books.append(Book(optimizer))

    @property
    def forwards(self) -> int:
        """Calls of the model from outside, with and without gradients."""
        return sum(self.calls.values()) + self.counts["evaluation_forwards"]

    @property
    def backwards(self) -> int:
        return self.counts["backwards"]

    def epoch_begins(self) -> None:
        """From here on a batch of the epoch before is no repetition."""
        self._seen.clear()
        self._recent.clear()

    def gone_back(self) -> None:
        """The weights are those of an earlier step: nothing is held against the last one, and
        batches may come by again."""
        for each in self._books:
            each.gone_back()
        self.epoch_begins()
        self.fresh = False
        self.step_left_out()

    def step_left_out(self) -> None:
        """A scaler found gradients that are not finite, and did not call the optimizer."""
        self.idle = 0
        self.backwards_in_step = 0
        self.began = False

    def forward(self, door: nn.Module, training: bool, graded: bool) -> None:
        """A forward pass of the model, or of the part of it that is called, begins."""
        if graded:
            self.calls[id(door)] = self.calls.get(id(door), 0) + 1
            self.in_eval = not training
            if self.fresh:
                self.hold_against_last_step()
            if self.block[0]:
                self.close_block()
            return
        self.counts["evaluation_forwards"] += 1
        self.block[0] += 1
        if training and self._sensitive:
            self.counts["evaluation_forwards_in_training"] += 1
            self.block[1] += 1

    def hold_against_last_step(self) -> None:
        """Whether what a step that was looked at did is still there."""
        self.fresh = False
        for each in self._books:
            each.forward_begins()

    def close_block(self) -> None:
        forwards, in_training = self.block
        self.block = [0, 0]
        if forwards > 1 and self.counts["steps"]:
            self.counts["evaluation_blocks"] += 1
            self.counts["evaluation_forwards_in_blocks"] += forwards
            if in_training == forwards:
                self.counts["evaluation_blocks_in_training"] += 1

    def batch(self, given: Any) -> None:
        """The fingerprint of a batch, of at most some hundred of its values. What another network
        computed is no batch, and values that are all alike tell none from another: a network in
        front may have died."""
        self.latest = None
        for each in tensors_in(given):
            if (
                each.grad_fn is None
                and rowwise(each)
                and each.device.type == "cpu"
                and each.numel()
            ):
                self.latest = _fingerprint(each.detach())
                if self.latest is not None:
                    break
        key = self.latest
        if key is None:
            return
        if key in self._seen:
            self.counts["repeated_batches"] += 1
        else:
            self.counts["distinct_batches"] += 1
        if len(self._recent) == self._recent.maxlen:
            self._seen.discard(self._recent[0])
        self._recent.append(key)
        self._seen.add(key)

    def backward_begins(self, loss: Tensor | None, *, looking: bool) -> None:
        self.counts["backwards"] += 1
        self.backwards_in_step += 1
        self.idle += 1
        self.most_idle = max(self.most_idle, self.idle)
        self.counts["backwards_heard"] += 1
        if loss is not None:
            # By a weak reference: an `id` is given to the next loss once this one is gone.
            same = self._loss is not None and self._loss() is loss
            value = float(loss.detach()) if loss.numel() == 1 and loss.is_cpu else math.nan
            # In a closure the same batch with the same weights has the same loss to the last bit.
            inside = self.backwards_in_step > 1 and any(each.stepping for each in self._books)
            again = inside and value == self._value and value != 0
            self.counts["double_backwards"] += same or again
            self._loss, self._value = weakref.ref(loss), value
        if not self._resting:
            for each in self._books:
                each.backward_begins(looking=looking)

    def backward_dozed(self) -> None:
        """A backward begins of which nothing else is to be told."""
        self.counts["backwards"] += 1
        self.backwards_in_step += 1
        self.idle = idle = self.idle + 1
        if idle > self.most_idle:
            self.most_idle = idle

    def backward_ended(self) -> None:
        if not self._resting:
            for each in self._books:
                each.backward_ended()

    def step_begins(self, optimizer: Optimizer) -> None:
        if not self._resting:
            for each in self._books:
                if each.optimizer is optimizer:
                    each.step_begins()

    def rest(self, resting: bool) -> None:
        """Between two steps: whether the gradients are left alone from here on."""
        if resting and not self._resting:
            for each in self._books:
                each.rest()
        self._resting = resting

    def step_ended(self, optimizer: Optimizer, *, look: Look | None) -> None:
        for each in self._books:
            if each.optimizer is optimizer:
                each.step_ended()
        self.slept()
        if look is not None:
            self.counts["looked"] += 1
            if look.unchanged is not None:
                moved = bool(look.moved)
                self.counts["changed_steps" if moved else "unchanged_steps"] += 1
                self._unchanged = look.unchanged
            if look.lost is not None:
                self._lost.append(look.lost)
            self.fresh = True
            for each in self._books:
                if each.optimizer is optimizer:
                    each.stepped(look)
            self._note_gradients()

    def slept(self) -> None:
        """A step has ended, whether more of it was told or not."""
        self.counts["steps"] += 1
        if self.in_eval is not None and self._sensitive:
            if self.in_eval:
                self.counts["training_forwards_in_eval"] += 1
                if self._was_training and self._first_eval_step is None:
                    self._first_eval_step = self.counts["steps"]
            else:
                self._was_training += 1
                self._first_eval_step = None
        self.in_eval = None
        self.idle = 0
        self.backwards_in_step = 0
        self.began = False

    def _note_gradients(self) -> None:
        """Which trainable parameters have a gradient, and one that is not 0; who holds them."""
        held = {
            id(each): each
            for book in self._books
            for group in book.optimizer.param_groups
            for each in group["params"]
        }
        missing, known = [], set()
        for name, each in self._model.named_parameters():
            known.add(id(each))
            # Somebody else may train it: another optimizer, a moving average, by hand.
            version = (id(each), each._version)
            before = self._versions.setdefault(name, version)
            if before[0] != version[0]:  # another tensor under that name: nobody has moved it
                self._versions[name] = version
                self._moved.discard(name)
            elif before != version:
                self._moved.add(name)
            if not each.requires_grad:
                continue
            gradient = each.grad
            if gradient is None:
                continue
            if not self._graded.get(name):
                self._graded[name] = _lively(gradient)
            if id(each) not in held and self._graded[name]:
                missing.append(name)
        self._not_held = tuple(each for each in missing if each not in self._moved)
        strange = [each for key, each in held.items() if key not in known and each.grad is None]
        self._not_in_model = (len(strange), len(held))

    def scored(self, calls: Sequence[Call], logits: Tensor, target: Tensor) -> None:
        """What the loop did with the logits (N, C) between the loss and the backward pass."""
        if logits.ndim != 2 or logits.shape[0] < 2 or logits.shape[1] < 2:
            return
        same, wrong = {id(logits)}, set()
        for call in calls:
            first = call.args[0] if call.args else None
            if call.name in LIKE and id(first) in same:
                same.add(id(call.result))
            elif call.name in ("argmax", "max") and id(first) in same:
                axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
                if axis in (0, -2):
                    part = call.result[1] if isinstance(call.result, tuple) else call.result
                    wrong.add(id(part))
                    self._misread_sizes = (part.numel(), target.numel())
            elif call.name in ("eq", "__eq__") and any(id(each) in wrong for each in call.args):
                if any(each is target for each in call.args):
                    self._misread += 1
                return

    def facts(self) -> Loop:
        names = [name for name, each in self._model.named_parameters() if each.requires_grad]
        looked = bool(self.counts["looked"])
        sums = {name: sum(getattr(each, name) for each in self._books) for name in BOOKED}
        excess = [each.excess for each in self._books if each.excess is not None]
        kept = [share for each in self._books for share in each.kept]
        aside = [pair for each in self._books for pair in each.aside]
        counts: dict[str, Any] = {**self.counts, **sums}
        counts["training_forwards"] = max(self.calls.values(), default=0)
        return Loop(
            **{name: count for name, count in counts.items() if name in _FIELDS},
            stale_excess=max(excess, default=None),
            idle_backwards=self.most_idle,
            kept_steps=_median(kept) if kept else None,
            kept_looks=len(kept),
            aside=_median([size for size, _ in aside]) if aside else 0.0,
            aside_along=_median([along for _, along in aside]) if aside else 0.0,
            lost_gradients=_median(self._lost) if self._lost else 0.0,
            mode_sensitive=self._sensitive,
            running_statistics=self._normed,
            left_in_eval_since=self._first_eval_step,
            probes_moved=any(each.moved() for each in self._books),
            never_graded=tuple(n for n in names if looked and n not in self._graded),
            zero_graded=tuple(n for n in names if self._graded.get(n) is False),
            not_held=self._not_held,
            not_in_model=self._not_in_model[0],
            held=self._not_in_model[1],
            unchanged_names=self._unchanged,
            misread_looks=self._misread,
            misread_sizes=self._misread_sizes,
        )


_FIELDS = frozenset(Loop.__dataclass_fields__)


def _fingerprint(batch: Tensor) -> int | None:
    flat = batch.view(-1) if batch.is_contiguous() else batch.flatten()
    # An even step falls on the same columns of every image: often dark borders.
    part = flat[:: -(-len(flat) // 128) | 1]
    if part.dtype == torch.bfloat16:
        part = part.float()
    elif part.is_complex():
        part = torch.view_as_real(part.resolve_conj()).flatten()
    values = part.numpy()
    if len(values) > 1 and values[0] == values[-1] and (values == values[0]).all():
        return None
    return hash(values.tobytes())


def _lively(gradient: Tensor) -> bool:
    if gradient.is_sparse:
        return bool(gradient._nnz())
    return bool(gradient.any())


def acts_by_mode(module: nn.Module) -> bool:
    """Whether it acts otherwise in training than in evaluation."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return isinstance(module, MODES)


def _median(values: list[float]) -> float:
    return float(np.median(values))
