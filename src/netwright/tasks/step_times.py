"""What a step of a run took: its time, how long it waited for data, its share of the roofline.

The share is of what the whole step should take in float32 on this machine, whose rates are those
that `netwright inspect MODEL --time` has measured once; a run never measures them itself. Where
other processes kept the machine busy meanwhile, that is said beside the times.
"""

from __future__ import annotations

import os
import statistics
from collections import deque
from typing import Any

import torch

from netwright.core import events as e
from netwright.core.errors import NetwrightError
from netwright.core.linux import machine_seconds
from netwright.inspection.calibration import is_measured, machine_at_hand
from netwright.inspection.step_roofline import StepEstimate, step_estimate
from netwright.inspection.tracing import trace
from netwright.tasks.preparing import Prepared

RECENT = 1_000
"""So many of the last steps count: the first ones plan and warm up."""

_FULL, _OTHERS = 0.9, 0.1


class StepTimes:
    """Listens to the steps of one run; `facts()` is what `run.json` says of them.

    `alone` is False where the steps of several runs are taken together: then no share is given.
    """

    def __init__(self, prepared: Prepared, *, alone: bool = True) -> None:
        self._prepared = prepared
        self._alone = alone
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        self._others = self._beside()

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted):
            self._others = self._beside()
        elif isinstance(event, e.StepEnded):
            self._recent.append((event.data_seconds, event.step_seconds))

    def facts(self) -> dict[str, Any]:
        """`step_times`; nothing where no step was taken, so that what was known before stays.

        `seconds` is the median of the last steps, waiting for data included; `roofline_share` is
        None where the machine is not measured, or the network cannot be looked into.
        """
        if not self._recent:
            return {}
        seconds = statistics.median(data + step for data, step in self._recent)
        whole = sum(data + step for data, step in self._recent)
        waited = sum(data for data, _ in self._recent) / whole if whole else 0.0
        others = self._others.share()
        estimate = self._estimate()
        share = estimate.seconds / seconds if estimate is not None and seconds else None
        return {
            "step_times": {
                "seconds": round(seconds, 9),
                "data_wait_share": round(waited, 5),
                "steps": len(self._recent),
                "roofline_share": round(share, 4) if share is not None else None,
                "waits_for": estimate.bound if estimate is not None else None,
                "machine_measured": is_measured(self._prepared.device),
                "others_share": round(others, 4) if others is not None else None,
            }
        }

    def _beside(self) -> Others:
        return Others(alike=self._prepared.ranks.local_size)

    def _estimate(self) -> StepEstimate | None:
        prepared, task = self._prepared, self._prepared.task
        if not self._alone or not is_measured(prepared.device):
            return None
        images = prepared.recipe.general.batch // prepared.ranks.size
        shape = (images, *prepared.preprocessing.shape)
        try:
            record = trace(task.model, (torch.empty(shape, device="meta"),), training=True)
        except (NetwrightError, RuntimeError, TypeError, ValueError):
            return None  # a network of a user's own may do anything
        found = step_estimate(
            record,
            machine_at_hand(prepared.device),
            trained={name for name, each in task.model.named_parameters() if each.requires_grad},
            state_bytes=state_bytes(task.optimizer),
        )
        passes = task.update.accumulate
        return StepEstimate(seconds=passes * found.seconds, bound=found.bound)


class Others:
    """What other processes have had of the processors since this was made.

    `alike` is how many processes of this run there are on this machine, this one among them: each
    computes its share of every batch, and so takes as much as this one.
    """

    def __init__(self, *, alike: int = 1) -> None:
        self._alike = alike
        self._before = machine_seconds()
        self._own = _own_seconds()

    def share(self) -> float | None:
        """Their share, 0 while some of the machine was idle; None where it cannot be told."""
        now, before = machine_seconds(), self._before
        if now is None or before is None:
            return None
        busy, idle = now[0] - before[0], now[1] - before[1]
        if busy + idle < 0.1:  # a clock of hundredths of a second says nothing of less
            return None
        share = (busy - self._alike * (_own_seconds() - self._own)) / (busy + idle)
        return max(0.0, share) if busy >= _FULL * (busy + idle) and share >= _OTHERS else 0.0


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of what an optimizer keeps for its parameters."""
    kept = (each for state in optimizer.state.values() for each in state.values())
    return sum(each.nbytes for each in kept if isinstance(each, torch.Tensor))


def _own_seconds() -> float:
    """Processor time of this process, and of its data workers that have ended."""
    return sum(os.times()[:4])
