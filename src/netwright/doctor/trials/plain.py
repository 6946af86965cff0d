"""What the training takes without a doctor: by that all that healing costs is measured."""

from __future__ import annotations

import math
import time

from netwright.doctor.trials.course import Course
from netwright.doctor.trials.trial import Trial

SHARE, FEWEST, MOST = 0.01, 5, 25
"""Of the steps so many are timed, at the beginning of the work and at its end."""

WARM = 2
"""First steps that are not counted: an optimizer makes its memory, caches fill."""


class Plain:
    """The seconds of the whole training, from some steps of a copy that nobody watches.

    Not from the watched ones: what hooks take is not all known to them. Measured in small
    networks, the time less what the watch says of itself is up to 1.6 times the plain one.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._seconds, self._steps = 0.0, 0

    def measure(self, *, seconds: float = math.inf) -> None:
        """Time some steps, for at most `seconds` and one step."""
        began = time.perf_counter()
        times = [began]
        wanted = max(FEWEST, min(MOST, round(SHARE * self._course.steps)))
        Trial(self._course).go_on(
            WARM + wanted,
            told=lambda *_: times.append(time.perf_counter()),
            before=began + seconds,
        )
        kept = times[WARM if len(times) > WARM + 1 else 0 :]
        self._seconds += kept[-1] - kept[0]
        self._steps += len(kept) - 1

    @property
    def seconds(self) -> float | None:
        """Of the whole training; None where not one step came to its end."""
        return self._seconds / self._steps * self._course.steps if self._steps else None
