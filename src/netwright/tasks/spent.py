"""What a run took, over all its resumes: seconds, waiting for data, memory."""

from __future__ import annotations

import resource
import time
from typing import Any

import torch

from netwright.core import events as e
from netwright.records.run import Run


class Spent:
    """Adds up time, waiting and the peak of memory over a run and all its resumes."""

    def __init__(self, run: Run, share: float) -> None:
        self._share = share
        self.seconds = float(run.number("seconds"))
        self.data = float(run.number("data_wait_share")) * self.seconds
        self._started = time.monotonic()
        self._before = self.seconds

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.StepEnded):
            self.data += event.data_seconds

    def facts(self) -> dict[str, Any]:
        seconds = self._before + self._share * (time.monotonic() - self._started)
        return {
            "seconds": round(seconds, 3),
            "data_wait_share": round(self.data / seconds, 5) if seconds else 0.0,
            "peak_memory_bytes": _peak_memory(),
        }


def _peak_memory() -> int:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        return max(own, torch.cuda.max_memory_allocated())
    return own
