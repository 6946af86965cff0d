"""A bounded sample of one split, with what can be counted of every sample while it passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.doctor.data.labels import class_labels, one_each
from netwright.doctor.data.shrinking import Kind, Matrix, counted, kind_of, moments, shrunk

ROWS = 1500
"""Samples of a split that are kept, shrunk."""

HASHED = 200_000
"""Samples of a split whose fingerprints are kept."""

MOST_NUMBERS = 16
"""Numbers of a target that are kept as such; of more, an image or a signal, their mean."""

Indices = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(eq=False)
class Split:
    """Batches are added one after another; an even sample of all rows is kept, in order."""

    name: str
    total: int | None = None
    """How many samples the split has, where that is known."""
    rows: int = ROWS
    kind: Kind = "unknown"
    shape: tuple[int, ...] = ()
    dtype: str = ""
    seen: int = 0
    complete: bool = False
    """Whether every sample was read."""
    batches: list[int] = field(default_factory=list)
    """How many samples each batch had."""
    low: float = float("inf")
    high: float = float("-inf")
    least: Tensor | None = None
    most: Tensor | None = None
    """The smallest and the largest value of each number of a sample, as fed."""
    fingerprints: list[int] = field(default_factory=list)
    bad_inputs: list[int] = field(default_factory=list)
    """Samples with a value that is not finite."""
    bad_targets: list[int] = field(default_factory=list)
    bad_example: Tensor | None = None
    index: list[int] = field(default_factory=list)
    """Which samples are kept."""
    _features: list[Matrix] = field(default_factory=list)
    _moments: list[tuple[Matrix, Matrix]] = field(default_factory=list)
    _targets: list[Tensor] | None = field(default_factory=list)
    _numbers: list[Matrix] | None = field(default_factory=list)
    _draws: Any = field(default_factory=lambda: np.random.default_rng(0))
    """Chooses which samples are kept; no generator of the run is touched."""

    def add(self, inputs: Tensor, target: Tensor | None = None) -> None:
        """One batch."""
        inputs = inputs.detach().cpu()
        if not inputs.ndim or not len(inputs) or inputs.is_sparse or inputs.is_complex():
            return
        if not self.batches:
            self.kind, self.shape = kind_of(inputs), tuple(inputs.shape[1:])
            self.dtype = str(inputs.dtype).removeprefix("torch.")
        self.batches.append(len(inputs))
        if inputs.dtype in (torch.bfloat16, torch.float16):
            inputs = inputs.float()
        self._note_targets(target, len(inputs))
        self._note_values(inputs)
        if len(self.fingerprints) + len(inputs) <= HASHED:
            flat = inputs.contiguous().numpy().reshape(len(inputs), -1)
            self.fingerprints += [hash(each.tobytes()) for each in flat]
        self._keep(inputs)
        self.seen += len(inputs)

    def _note_targets(self, target: Tensor | None, count: int) -> None:
        usable = isinstance(target, Tensor) and target.ndim and len(target) == count
        if not usable:
            self._targets = self._numbers = None
            return
        assert target is not None
        target = target.detach().cpu()
        if target.is_floating_point():
            bad = ~target.reshape(count, -1).isfinite().all(1)
            self.bad_targets += (bad.nonzero()[:, 0] + self.seen).tolist()
        flat = target.reshape(count, -1)
        if flat.is_floating_point() and flat.shape[1]:
            if flat.shape[1] > MOST_NUMBERS:
                flat = flat.mean(1, keepdim=True)
            if self._numbers is not None:
                self._numbers.append(flat.double().numpy().copy())
        else:
            self._numbers = None
        single = one_each(target)
        if single is None:
            self._targets = None
        elif self._targets is not None:
            self._targets.append(single.clone())

    def _note_values(self, inputs: Tensor) -> None:
        if inputs.is_floating_point():
            bad = ~inputs.reshape(len(inputs), -1).isfinite().all(1)
            if bool(bad.any()):
                self.bad_inputs += (bad.nonzero()[:, 0] + self.seen).tolist()
                if self.bad_example is None:
                    self.bad_example = inputs[bad][0].clone()
                inputs = inputs[~bad]
                if not len(inputs):
                    return
        least, most = inputs.amin(0), inputs.amax(0)
        self.low = min(self.low, float(least.min()) if least.numel() else self.low)
        self.high = max(self.high, float(most.max()) if most.numel() else self.high)
        if self.least is None or self.most is None:
            self.least, self.most = least, most
        elif self.least.shape == least.shape:
            self.least = torch.minimum(self.least, least)
            self.most = torch.maximum(self.most, most)

    def _keep(self, inputs: Tensor) -> None:
        """Of all that came by each sample is kept with the same chance (a reservoir)."""
        if self.kind == "unknown" or kind_of(inputs) != self.kind:
            return
        places: dict[int, int] = {}
        for row in range(len(inputs)):
            count = self.seen + row
            if count < self.rows:
                places[len(self.index) + len(places)] = row
            else:
                drawn = int(self._draws.integers(count + 1))
                if drawn < self.rows:
                    places[drawn] = row
        if not places:
            return
        taken = inputs[list(places.values())]
        tokens = self.kind == "tokens"
        features = counted(taken) if tokens else shrunk(taken, self.kind)
        of_channels = None if tokens else moments(taken, self.kind)
        if features is None or (self._features and features.shape[1] != len(self._features[0])):
            return
        for number, (place, row) in enumerate(places.items()):
            self._put(place, self.seen + row, features[number])
            if of_channels is not None:
                mean, square = of_channels
                pair = (mean[number], square[number])
                if place < len(self._moments):
                    self._moments[place] = pair
                else:
                    self._moments.append(pair)

    def _put(self, place: int, sample: int, row: Matrix) -> None:
        if place < len(self.index):
            self.index[place], self._features[place] = sample, row
        else:
            self.index.append(sample)
            self._features.append(row)

    # What was read

    @property
    def features(self) -> Matrix:
        """(n, D): the samples that are kept, shrunk; (0, 0) for what has no distances."""
        there = self._features and self.kind != "tokens"
        return np.stack(self._features) if there else np.zeros((0, 0))

    @property
    def counts(self) -> Matrix:
        """(n, 128): how often the samples that are kept have each token; (0, 0) for others."""
        there = self._features and self.kind == "tokens"
        return np.stack(self._features) if there else np.zeros((0, 0))

    @property
    def moments(self) -> tuple[Matrix, Matrix] | None:
        """(n, C) twice: mean and mean square of the channels of the images that are kept."""
        if not self._moments:
            return None
        mean, square = zip(*self._moments, strict=True)
        return np.stack(mean), np.stack(square)

    @property
    def targets(self) -> Tensor | None:
        """(seen,): the target of every sample; None where it is not one number or one class."""
        return torch.cat(self._targets) if self._targets else None

    @property
    def numbers(self) -> Matrix | None:
        """(seen, K): the targets of a regression; None where they are classes."""
        if not self._numbers or self.labels is not None:
            return None
        if len({each.shape[1] for each in self._numbers}) > 1:
            return None
        return np.concatenate(self._numbers)

    @property
    def labels(self) -> Indices | None:
        """(seen,): the class of every sample; None where targets are no classes."""
        return class_labels(self.targets)

    @property
    def kept(self) -> Indices:
        """Which of the samples seen `features` are of."""
        return np.asarray(self.index, dtype=np.int64)

    @property
    def whole(self) -> int:
        """How many samples the split has, as far as is known."""
        return max(self.seen, self.total or 0)
