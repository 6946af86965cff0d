"""The curves of a watched loop as lines of `metrics.jsonl`, which report and compare read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from netwright.records.facts.steps import Steps
from netwright.records.record import Record

MOST = 300
"""Lines; a longer record is read at even distances."""


def metrics_of(record: Record) -> Iterator[dict[str, Any]]:
    """Loss, rate and gradient of some steps, oldest first; a loss is the mean of those between."""
    steps = record.get(Steps)
    if steps is None or not len(steps.step):
        return
    rows = len(steps.step)
    edges = [round(place * rows / min(rows, MOST)) for place in range(min(rows, MOST) + 1)]
    for low, high in pairwise(edges):
        part = slice(low, high)
        line: dict[str, Any] = {
            "step": int(steps.step[high - 1]),
            "epoch": int(steps.epoch[high - 1]),
            "train/loss": _mean(steps.loss[part]),
            "lr/g0": _mean(steps.lr[part]),
            "time/data_s": _mean(steps.wait[part]),
            "time/step_s": _mean(steps.seconds[part]),
        }
        norm = _mean(steps.grad_norm[part])
        if norm is not None:
            line["grad/norm"] = norm
        yield line


def _mean(values: Any) -> float | None:
    """Of what was measured; None where nothing was."""
    known = [float(each) for each in values if math.isfinite(each)]
    return math.fsum(known) / len(known) if known else None
