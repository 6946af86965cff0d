"""The order of things in a loop: forward, backward, step, clearing, and in which mode."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.patient import tensors_in
from netwright.doctor.watching.look import Look
from netwright.records.facts.loop import Loop

PROBES = 3
"""Parameters whose gradients tell whether it was cleared."""

REMEMBERED = 4096
"""Batches whose fingerprints are kept."""

MODES = (
    nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase,
)  # fmt: skip
"""Modules that act otherwise in training than in evaluation."""


class Order:
    """Counts what happens; all of it costs some microseconds a step."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self.began = False
        """Whether a training forward ran since the last step."""
        self.backwards_in_step = 0
        self.latest: bytes | None = None
        """The fingerprint of the newest batch, None where it has none."""
        self._model = model
        self._optimizers = list(optimizers)
        self._counts = dict.fromkeys(
            (
                "steps", "backwards", "looked", "stale_starts", "steps_without_backward",
                "double_backwards", "unchanged_steps", "changed_steps",
                "training_forwards_in_eval", "evaluation_forwards_in_training",
                "training_forwards", "evaluation_forwards", "repeated_batches",
                "distinct_batches",
            ),
            0,
        )  # fmt: skip
        self._idle = self._most_idle = 0
        self._cleared = True
        self._excess: float | None = None
        self._stored: list[Tensor] | None = None
        self._loss: int | None = None
        self._in_eval = False
        self._sensitive = tuple(
            dict.fromkeys(type(each).__name__ for each in model.modules() if _moody(each))
        )
        self._probes = self._choose()
        self._seen: dict[bytes, int] = {}
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._graded: dict[str, bool] = {}
        self._unchanged: tuple[str, ...] = ()

    def add(self, optimizer: Optimizer) -> None:
        self._optimizers.append(optimizer)
        self._probes = self._choose()

    def _choose(self) -> list[nn.Parameter]:
        """A few small parameters, from all over the model."""
        held = [
            each
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for each in group["params"]
            if each.requires_grad
        ]
        small = [each for each in held if each.numel() <= 65_536] or held
        step = max(1, len(small) // PROBES)
        return small[::step][:PROBES]

    def forward(self, training: bool, graded: bool) -> None:
        if graded:
            self._counts["training_forwards"] += 1
            self._in_eval = not training
        else:
            self._counts["evaluation_forwards"] += 1
            if training and self._sensitive:
                self._counts["evaluation_forwards_in_training"] += 1

    def batch(self, given: Any) -> None:
        """The fingerprint of a batch, of at most some hundred of its values."""
        self.latest = None
        digest = hashlib.blake2b(digest_size=12)
        for each in tensors_in(given):
            if each.numel() and each.device.type == "cpu":
                flat = (
                    each.detach().reshape(-1) if each.is_contiguous() else each.detach().flatten()
                )
                # An even step falls on the same columns of every image: often dark borders.
                part = flat[:: -(-flat.numel() // 256) | 1]
                if part.dtype == torch.bfloat16:
                    part = part.float()
                digest.update(part.numpy().tobytes())
                break
        else:
            return
        self.latest = key = digest.digest()
        if key in self._seen:
            self._counts["repeated_batches"] += 1
        else:
            self._counts["distinct_batches"] += 1
        if len(self._recent) == self._recent.maxlen:
            self._seen.pop(self._recent[0], None)
        self._recent.append(key)
        self._seen[key] = self._counts["steps"]

    def backward_begins(self, loss: Tensor | None, *, looking: bool) -> None:
        self._counts["backwards"] += 1
        self.backwards_in_step += 1
        self._idle += 1
        self._most_idle = max(self._most_idle, self._idle)
        if loss is not None:
            if self._loss == id(loss):
                self._counts["double_backwards"] += 1
            self._loss = id(loss)
        held = [each.grad for each in self._probes if each.grad is not None]
        dirty = any(bool(each.any()) for each in held if not each.is_sparse)
        if not dirty:
            self._cleared = True
        elif looking and not self._cleared:
            self._stored = [each.clone() for each in held]

    def backward_ended(self) -> None:
        if self._stored is None:
            return
        now = [each.grad for each in self._probes if each.grad is not None]
        if len(now) == len(self._stored):
            fresh = sum(
                float((a - b).square().sum()) for a, b in zip(now, self._stored, strict=True)
            )
            old = sum(float(each.square().sum()) for each in self._stored)
            if fresh > 0:
                self._excess = (old / fresh) ** 0.5
        self._stored = None

    def step_ended(self, optimizer: Optimizer, *, look: Look | None) -> None:
        self._counts["steps"] += 1
        if not self.backwards_in_step:
            self._counts["steps_without_backward"] += 1
        elif not self._cleared:
            self._counts["stale_starts"] += 1
        if self._in_eval and self._sensitive:
            self._counts["training_forwards_in_eval"] += 1
        if look is not None:
            self._counts["looked"] += 1
            if look.unchanged is not None:
                moved = bool(look.moved)
                self._counts["changed_steps" if moved else "unchanged_steps"] += 1
                self._unchanged = look.unchanged
            self._note_gradients()
        self._cleared = False
        self._idle = 0
        self.backwards_in_step = 0
        self.began = False

    def _note_gradients(self) -> None:
        """Which trainable parameters have a gradient, and one that is not 0."""
        for name, each in self._model.named_parameters():
            if not each.requires_grad or self._graded.get(name):
                continue
            gradient = each.grad
            if gradient is None:
                continue
            lively = gradient.is_sparse or bool(gradient.any())
            self._graded[name] = lively

    def facts(self) -> Loop:
        names = [name for name, each in self._model.named_parameters() if each.requires_grad]
        looked = bool(self._counts["looked"])
        return Loop(
            **self._counts,
            stale_excess=self._excess,
            idle_backwards=self._most_idle,
            mode_sensitive=self._sensitive,
            never_graded=tuple(n for n in names if looked and n not in self._graded),
            zero_graded=tuple(n for n in names if self._graded.get(n) is False),
            unchanged_names=self._unchanged,
        )


def _moody(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    return isinstance(module, MODES)
