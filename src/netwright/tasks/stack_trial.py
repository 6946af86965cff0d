"""Whether several seeds are trained as one stack: tried for a few steps, not guessed.

Stacking pays where a step is mostly overhead, and costs where a processor is busy with one
network already; which of the two holds depends on network, batch and machine. So a few of the
seeds take the same steps both ways. The trial also compares what they computed: a network that
a stack would train otherwise is never stacked.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from netwright.core.languages import Phrase
from netwright.tasks.classification import Classification
from netwright.tasks.stacked import Stack
from netwright.train.task import NonFiniteError

MOST_TRIED = 8
"""Seeds that take part in a trial."""

# A stack must be so much faster to be chosen: a trial of some steps is not exact.
_WORTH = 0.95

# Seconds of a step from which on a network is too large for a stack to be faster.
_LONG_STEP = 0.1

_ROUNDS, _CHECKED = 3, 3
_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How the seeds are trained, and why; `ratio` is the stack's time as a share of the other's."""

    stacked: bool
    why: Phrase
    ratio: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `run.json` has it; `why` is spoken again by the report."""
        why = {"template": self.why.template, "values": dict(self.why.values)}
        return {"stacked": self.stacked, "why": why, "ratio": self.ratio}


def slow_step(task: Classification) -> bool:
    """Whether one step of one network takes so long that nothing is to be gained."""
    with _untouched([task]):
        batch = next(task.train.iterate())
        try:
            task.step(batch, 0)
            return _timed(lambda: task.step(batch, 1)) > _LONG_STEP
        except NonFiniteError:  # which `try_both` tells
            return False


def try_both(tasks: Sequence[Classification], *, same_loss: bool) -> Choice:
    """Both ways on the same batches; afterwards `tasks` are as they were."""
    with _untouched(tasks):
        try:
            return _compare(tasks, same_loss)
        except NonFiniteError:
            return Choice(stacked=False, why=Phrase("the trial left the finite numbers"))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            reason = str(error).strip().partition("\n")[0][:120]
            return Choice(
                stacked=False, why=Phrase("torch cannot stack it: {reason}", reason=reason)
            )


def _compare(tasks: Sequence[Classification], same_loss: bool) -> Choice:
    """Steps one by one and stacked, checked against each other and then timed in turns."""
    feeds = [task.train.iterate() for task in tasks]  # also of a run of fewer steps
    batches = [[next(feed) for feed in feeds] for _ in range(_CHECKED)]
    with _untouched(tasks):
        alone = [
            [_loss(task.step(batch, k)) for task, batch in zip(tasks, row, strict=True)]
            for k, row in enumerate(batches)
        ]
        once = _timed(lambda: _one_by_one(tasks, batches[0], 0))
        steps = max(1, min(10, round(0.05 / max(once, 1e-6))))
    with _untouched(tasks):
        stack = Stack(tasks, same_loss=same_loss)
        for k, row in enumerate(batches):
            for told, expected in zip(stack.take(row, k), alone[k], strict=True):
                if isinstance(told, NonFiniteError):
                    raise told
                if not math.isclose(told["loss"], expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
                    return Choice(
                        stacked=False, why=Phrase("a stack does not give the same numbers")
                    )
        together, apart = [], []
        for _ in range(_ROUNDS):
            together.append(_timed(lambda: stack.take(batches[0], 0), steps))
            stack.publish()
            apart.append(_timed(lambda: _one_by_one(tasks, batches[0], 0), steps))
    ratio = round(min(together) / min(apart), 3)
    if ratio < _WORTH:
        why = Phrase("a step took {ratio:.2f} of the time in a trial", ratio=ratio)
        return Choice(stacked=True, why=why, ratio=ratio)
    why = Phrase("a stack took {ratio:.2f} of the time in a trial", ratio=ratio)
    return Choice(stacked=False, why=why, ratio=ratio)


def _one_by_one(tasks: Sequence[Classification], batches: Sequence[Any], step: int) -> None:
    for task, batch in zip(tasks, batches, strict=True):
        task.step(batch, step)


def _loss(values: Any) -> float:
    return float(values["loss"])


def _timed(action: Callable[[], Any], times: int = 1) -> float:
    """Seconds of one of so many calls."""
    started = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - started) / times


@contextmanager
def _untouched(tasks: Sequence[Classification]) -> Iterator[None]:
    """Afterwards weights, optimizers and averages are what they were, in memory of their own."""
    for task in tasks:
        task.to_training(0)
    kept = [
        (
            [each.detach().clone() for each in _tensors(task)],
            copy.deepcopy(task.optimizer.state_dict()),
            copy.deepcopy(task.average),
            copy.deepcopy(task.tally),
            dict(task.replaced),
        )
        for task in tasks
    ]
    try:
        yield
    finally:
        for task, (tensors, state, average, tally, replaced) in zip(tasks, kept, strict=True):
            for each, was in zip(_tensors(task), tensors, strict=True):
                each.data = was
                each.grad = None
            task.optimizer.load_state_dict(state)
            task.average, task.tally, task.replaced = average, tally, replaced


def _tensors(task: Classification) -> list[Tensor]:
    return [*task.model.parameters(), *task.model.buffers()]
