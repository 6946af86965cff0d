"""How well the nearest training samples foretell the targets of validation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from netwright.doctor.data.components import Matrix, principal
from netwright.doctor.data.labels import class_labels, one_each
from netwright.doctor.data.neighbours import nearest
from netwright.doctor.treatments._rows import shrunk
from netwright.doctor.trials.feed import Pair

ROWS = 1500
"""Samples of each set that are compared."""

NEIGHBOURS = 5


def foretold(train: Pair, val: Pair) -> Matrix | None:
    """(N,): how well the mean of five neighbours foretells each sample of validation. Of classes 1
    where it is right, 0 where not; of numbers what sums up to the share of the variance that is
    explained. None where the inputs cannot be compared, or for other targets.

    The unit of each column of a table is its spread in validation.
    """
    rows, others = (_rows(inputs) for inputs, _ in (train, val))
    if val[0].ndim == 2:
        unit = others.std(0)
        unit = np.where(unit > 0, unit, 1.0)
        rows, others = rows / unit, others / unit
    told = targets_of(torch.cat([target[:ROWS].cpu() for _, target in (train, val)]))
    if told is None or not np.isfinite(rows).all() or not np.isfinite(others).all():
        return None
    space = principal(others, 32)
    known, asked = told[: len(rows)], told[len(rows) :]
    near = nearest(space.of(others), space.of(rows), NEIGHBOURS).index
    said = known[near].mean(1)
    if bool(((told == 0) | (told == 1)).all()) and told.shape[1] > 1:
        return (said.argmax(1) == asked.argmax(1)).astype(np.float64)
    spread = float(np.square(asked - asked.mean(0)).sum()) / len(asked)
    return 1 - np.square(said - asked).sum(1) / spread if spread > 0 else None


def foretells_less(now: Matrix | None, before: Matrix | None) -> bool:
    """Whether the same samples are foretold worse, by more than two standard errors."""
    if now is None or before is None:
        return False
    lost = before - now
    return bool(lost.mean() > 2 * lost.std() / len(lost) ** 0.5)


def _rows(inputs: Tensor) -> Matrix:
    rows: Matrix = shrunk(inputs[:ROWS]).detach().cpu().flatten(1).double().numpy()
    return rows


def targets_of(target: Tensor) -> Matrix | None:
    """(N, K): one column a class, or the numbers."""
    single = one_each(target)
    labels = class_labels(single) if single is not None else None
    if labels is not None:
        found: Matrix = (labels[:, None] == np.unique(labels)).astype(np.float64)
        return found
    if not target.is_floating_point() or not bool(target.isfinite().all()):
        return None
    numbers: Matrix = target.flatten(1).double().numpy() if target.ndim > 1 else (
        target[:, None].double().numpy()
    )  # fmt: skip
    return numbers
