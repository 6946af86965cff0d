"""Short trials from the state gone back to: the same batches with each remedy in its turn.

The training as it was is the control, and costs nothing: its losses on these steps are known.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Sequence
from typing import Any

from netwright.doctor.interventions.remedies import CLEAR, FARTHER, Remedy, lower, score
from netwright.records.interventions import Tried
from netwright.tasks.classification import Classification
from netwright.train.task import NonFiniteError

SHARE = 0.2
"""Of the steps of the run, that the trials of one intervention may take together."""

SHORTEST, LONGEST = 12, 60
"""Steps of one trial; the shortest is allowed to every run."""


def raced(
    task: Classification, step: int, remedies: Sequence[Remedy], control: Sequence[float]
) -> tuple[Remedy | None, list[Tried]]:
    """The remedy with the lowest loss, None where none is clearly below what the training as it
    was came to; and what each came to. The task is as it was afterwards.

    `control` are the losses that the untreated run had from `step` on; where it broke there are
    fewer than the trials take, or some that are not finite.
    """
    left = task.rhythm.steps - step
    steps = int(SHARE * task.rhythm.steps / (len(remedies) + len(FARTHER)))
    steps = min(left, max(SHORTEST, min(LONGEST, steps)))
    if steps < SHORTEST:
        return None, []
    before = _Snapshot(task)
    peak = _peak(task, step)
    asked, waiting = list[Remedy](), list(remedies)
    tried, scores = list[Tried](), list[float]()
    try:
        while waiting:
            each = waiting.pop(0)
            before.put_back(task)
            found = score(_trial(task, step, steps, each, peak), steps)
            asked.append(each)
            scores.append(found)
            loss = found if math.isfinite(found) else None
            tried.append(Tried(rate=each.rate, clip=each.clip, steps=steps, loss=loss))
            if not waiting:
                more = lower(asked, scores)
                waiting += [more] if more is not None else []
    finally:
        before.put_back(task)
    best = min(range(len(scores)), key=scores.__getitem__)
    beaten = score(control[:steps], steps)
    clear = math.isfinite(scores[best]) and scores[best] < CLEAR * beaten
    return (asked[best] if clear else None), tried


def _trial(task: Classification, step: int, steps: int, remedy: Remedy, peak: float) -> list[float]:
    """The losses of some steps under a remedy, with the highest rate that the schedule has yet to
    come to: what bears the first steps of a warm-up only is no remedy."""
    repair, factor = task.repair, task.rate_factor
    assert repair is not None
    repair.rate *= remedy.rate
    repair.clip = remedy.clip if remedy.clip is not None else repair.clip
    losses: list[float] = []
    feed = task.feed(step)
    task.rate_factor = lambda _: peak
    try:
        for number in range(step, step + steps):
            told = task.step(next(feed), number)
            if "loss" in told:
                losses.append(float(told["loss"]))
    except NonFiniteError:
        pass
    finally:
        task.rate_factor = factor
        close = getattr(feed, "close", None)
        with contextlib.suppress(StopIteration):
            if close is not None:
                close()
    return losses


def _peak(task: Classification, step: int) -> float:
    """The highest factor of the schedule from here on; of a long run some of its steps tell."""
    every = max(1, (task.rhythm.steps - step) // 500)
    return max(task.rate_factor(each) for each in range(step, task.rhythm.steps, every))


class _Snapshot:
    """All that changes in a task, in memory of its own."""

    def __init__(self, task: Classification) -> None:
        self._weights = {name: each.detach().clone() for name, each in task.weights().items()}
        self._state: dict[str, Any] = copy.deepcopy(task.state())

    def put_back(self, task: Classification) -> None:
        task.load_weights(self._weights)
        task.load_state(copy.deepcopy(self._state))  # an optimizer keeps the tensors it is given
