"""The seconds that steps took, for the line of metrics that is written of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stopwatch:
    """Seconds since the last line of metrics. Not saved: what a checkpoint holds must not depend
    on the clock, so after a resume a line tells of the steps since then.

    >>> stopwatch = Stopwatch()
    >>> stopwatch.take(data=0.5, whole=2.0)
    >>> stopwatch.read()
    {'time/data_s': 0.5, 'time/step_s': 1.5, 'time/epoch_s': 2.0}
    """

    whole: float = 0.0
    data: float = 0.0
    steps: int = 0

    def take(self, *, data: float, whole: float) -> None:
        """A step took `whole` seconds, of which it waited `data` for its batch."""
        self.whole += whole
        self.data += data
        self.steps += 1

    def read(self) -> dict[str, float]:
        """The line's `time/*`, and back to zero."""
        steps, found = max(self.steps, 1), (self.whole, self.data)
        self.whole, self.data, self.steps = 0.0, 0.0, 0
        whole, data = found
        return {
            "time/data_s": data / steps,
            "time/step_s": (whole - data) / steps,
            "time/epoch_s": whole,
        }
