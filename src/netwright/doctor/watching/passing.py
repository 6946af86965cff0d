"""What is kept of the batches that go by: a few inputs of either mode, labels, losses by sample."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.doctor.data.feeding import mixing
from netwright.doctor.data.labels import class_labels, one_each
from netwright.doctor.data.split import Split
from netwright.doctor.patient import first_tensor, losses_of, rowwise, tensors_in
from netwright.doctor.tape import Objective
from netwright.records.facts.feed import Feed
from netwright.records.facts.passing import Passing
from netwright.records.facts.splits import Splits

INPUTS = 256
"""Samples of either mode whose inputs are kept, shrunk."""

OF_A_BATCH = 32
SAMPLES = 2000
"""Single losses that are kept, the latest."""

LOOKED = 200
"""Batches whose labels are kept, the first that were looked at."""

KEYS = 4096

TELLING = 8
"""Samples of a batch from which on it is no chance that all are the same."""


class PassingBy:
    """Bounded in memory; at a step that is not looked at it costs one look-up."""

    def __init__(self) -> None:
        self._train = Split("train", rows=INPUTS)
        self._val = Split("val", rows=INPUTS)
        self._keys: set[int] = set()
        self._last: int | None = None
        self.batches = self._told = self._at_once = self._batch = 0
        self._looked = self._alike = 0
        self._feed: tuple[int, Feed | None] = (0, None)
        self._labels: list[Any] = []
        self._losses: deque[Any] = deque()
        self._rows = 0
        self._compared: tuple[tuple[int, int], Splits | None] = ((0, 0), None)

    def batch(self, key: int | None) -> None:
        """A batch is trained on; `key` is its fingerprint."""
        self.batches += 1
        if key is None:
            return
        self._told += 1
        self._at_once += key == self._last
        self._last = key
        if len(self._keys) < KEYS:
            self._keys.add(key)

    def comes_again(self, batches: int) -> None:
        """So many of the newest batches will come by once more, because the loop goes back."""
        self.batches -= batches
        self._told = max(0, self._told - batches)
        self._last = None

    def trained(self, given: Any) -> None:
        """The arguments of a forward pass that is looked at."""
        self._keep(self._train, given)
        tensors = list(tensors_in(given))
        if len(tensors) != 1 or not rowwise(tensors[0]):
            return
        (rows,) = tensors
        if rows.ndim > 1 and len(rows) >= TELLING:
            self._looked += 1
            self._alike += bool((rows == rows[:1]).all())

    def evaluated(self, given: Any) -> None:
        """The arguments of a forward pass in evaluation mode, without gradients."""
        self._keep(self._val, given)

    def _keep(self, split: Split, given: Any) -> None:
        inputs = first_tensor(given)
        if inputs is None or not inputs.ndim:
            return
        if not rowwise(inputs):
            return
        self._batch = max(self._batch, len(inputs)) if split is self._train else self._batch
        if split.seen < INPUTS:
            split.add(inputs.detach()[:OF_A_BATCH])

    def look(self, objective: Objective, step: int) -> None:
        """The loss of a batch that was looked at, before the step on it."""
        calls = losses_of(objective)
        if len(calls) != 1 or len(calls[0].args) < 2:
            return
        output, target = calls[0].args[:2]
        if not isinstance(output, Tensor) or not isinstance(target, Tensor) or not target.ndim:
            return
        single = one_each(target.detach())
        if single is None or len(output) != len(single):
            return
        rows = _by_sample(calls[0].name, output.detach().float(), single)
        labels = class_labels_of(single)
        if labels is not None and len(self._labels) < LOOKED:
            self._labels.append(labels)
        if rows is None:
            return
        places = np.arange(rows.shape[1], dtype=np.float64)
        self._losses.append(np.stack((np.full_like(places, step), places, *rows)))
        self._rows += len(places)
        while self._rows - self._losses[0].shape[1] >= SAMPLES:
            self._rows -= self._losses.popleft().shape[1]

    # What was kept

    def facts(self) -> Passing:
        columns = np.concatenate(self._losses, axis=1) if self._losses else np.zeros((6, 0))
        names = ("step", "row", "loss", "label", "likeliest", "confidence")
        return Passing(
            **dict(zip(names, columns, strict=True)),
            batches=self.batches,
            told=self._told,
            distinct=len(self._keys),
            remembered=KEYS,
            batch=self._batch or None,
            at_once=self._at_once,
            looked=self._looked,
            alike=self._alike,
            feed=self._mixed(),
            splits=self._splits(),
        )

    def _mixed(self) -> Feed | None:
        if self._feed[0] != len(self._labels):
            found = mixing(self._labels)
            feed = Feed(batches=len(self._labels), **found) if found else None  # type: ignore[arg-type]
            self._feed = (len(self._labels), feed)
        return self._feed[1]

    def _splits(self) -> Splits | None:
        state = (self._train.seen, self._val.seen)
        if state != self._compared[0] and min(state) >= OF_A_BATCH:
            from netwright.doctor.probes.splits import compared

            self._compared = (state, compared(self._train, self._val, source="passing"))
        return self._compared[1]


def class_labels_of(single: Tensor) -> Any:
    """The labels of one batch: whole numbers from 0 on; too few to tell classes from numbers by
    how often each occurs."""
    if single.is_floating_point() and bool(((single == 0) | (single == 1)).all()):
        single = single.long()
    if single.is_floating_point():
        return class_labels(single.cpu())
    labels = single.cpu().numpy().astype(np.int64)
    return labels[labels >= 0]


def _by_sample(name: str, output: Tensor, target: Tensor) -> Any:
    """(4, N): loss, label, likeliest class and its probability; None for other losses."""
    if name in ("cross_entropy", "nll_loss"):
        if output.ndim != 2 or target.is_floating_point():
            return None
        logs = F.log_softmax(output, 1) if name == "cross_entropy" else output
        known = (target >= 0) & (target < output.shape[1])
        logs, target = logs[known], target[known]
        if not len(target):
            return None
        best, likeliest = logs.max(1)
        loss = -logs.gather(1, target[:, None])[:, 0]
        parts = (loss, target.float(), likeliest.float(), best.exp())
    elif name == "binary_cross_entropy_with_logits" and output.numel() == len(target):
        values = output.reshape(-1)
        truth = target.float()
        loss = F.binary_cross_entropy_with_logits(values, truth, reduction="none")
        chance = values.sigmoid()
        parts = (loss, truth, (chance > 0.5).float(), torch.maximum(chance, 1 - chance))
    else:
        return None
    return torch.stack(parts).double().cpu().numpy()
