"""What watching cost, by its own account."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("cost")
@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds spent in the watcher's own code, of the seconds the steps took in all.

    `hooks` is the part that comes with every step, `looks` that of the steps looked at closely,
    every `interval`-th in the end; `checkup` came before the first step and counts apart.
    """

    steps: int = 0
    seconds: float = 0.0
    hooks: float = 0.0
    looks: float = 0.0
    looked: int = 0
    interval: int = 1
    checkup: float = 0.0
    budget: float = 0.02
    fault: str = ""
    """Why the watcher switched itself off, "" if it did not."""

    @property
    def share(self) -> float:
        """Own time over the time of the training itself."""
        own = self.hooks + self.looks
        return own / (self.seconds - own) if self.seconds > own else 0.0
