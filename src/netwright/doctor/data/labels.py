"""When targets are classes: one label a sample, few distinct values, each of them several times."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

Indices = np.ndarray[Any, np.dtype[np.int64]]

MOST = 1000
"""Classes above which labels are taken for numbers or names."""


def one_each(target: Tensor) -> Tensor | None:
    """A batch of targets as (N,), where each sample has one number or one class of a one-hot row;
    None for masks, several labels a sample, several numbers a sample.

    >>> import torch
    >>> one_each(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    if target.numel() == len(target):
        return target.reshape(-1)
    if target.ndim != 2 or target.shape[1] > MOST or target.is_complex():
        return None
    hot = bool(((target == 0) | (target == 1)).all()) and bool((target.sum(1) == 1).all())
    return target.argmax(1) if hot else None


def class_labels(targets: Tensor | None) -> Indices | None:
    """The labels in (N,) targets; None where they are numbers to be predicted.

    >>> import torch
    >>> class_labels(torch.tensor([0.0, 1.0, 1.0, 0.0])).tolist()
    [0, 1, 1, 0]
    >>> class_labels(torch.tensor([0.5, 1.5, 2.5, 0.5])) is None
    True
    """
    if targets is None or not len(targets):
        return None
    if targets.is_floating_point():
        if not bool(((targets == 0) | (targets == 1)).all()):
            return None
        targets = targets.long()
    labels = targets.numpy().astype(np.int64)
    known = labels[labels >= 0]
    distinct = len(np.unique(known))
    if not len(known) or distinct > MOST or (distinct > 2 and distinct > len(known) / 3):
        return None
    return labels
