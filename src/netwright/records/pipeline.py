"""Where the time between a file and the network goes: what was measured, as frozen facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netwright.core.languages import Phrase

Name = Literal["read", "decode", "resize", "source", "gather", "batch", "augment", "tensor",
               "transfer"]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage on the way: `seconds` for an image, the median of those that were tried, in one
    process. `once`: it is gone through at the start alone, the result is held in memory."""

    name: Name
    seconds: float
    once: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seconds_per_image": self.seconds,
            "images_per_second": 1 / self.seconds,
            "once": self.once,
        }


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The stages of one data set, images a second of the whole by number of worker processes, and
    images a second that the network can take (forward, backward, update).

    `bottleneck` is the stage that takes the largest part of what is gone through in each epoch;
    `waits` is whether the network would wait for images at all, with the workers of the run.
    """

    images: int
    batch: int
    size: tuple[int, int]
    stored: tuple[int, int] | None
    """The median (H, W) of the files, None for data that have none."""
    held: bool
    jpeg: float
    """The share of the sample that are JPEG files."""
    decode: str
    stages: tuple[Stage, ...]
    whole: Mapping[int, float]
    workers: int
    network: float
    other_work: float = 0.0
    """The share of the processor's time that other processes took meanwhile."""
    unreadable: int = 0
    first_unreadable: Phrase | None = None
    """Files of the sample that turned out to be unreadable, and the first with its reason."""

    @property
    def crowded(self) -> bool:
        """Whether so much else goes on that times by the clock say little."""
        return self.other_work > 0.2

    @property
    def repeated(self) -> tuple[Stage, ...]:
        return tuple(each for each in self.stages if not each.once)

    @property
    def bottleneck(self) -> Stage:
        return max(self.repeated, key=lambda each: each.seconds)

    @property
    def waits(self) -> bool:
        return self.whole[self.workers] < self.network

    def share(self, stage: Stage) -> float:
        """The part of the time of all stages of an epoch that `stage` takes."""
        return stage.seconds / sum(each.seconds for each in self.repeated)

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "batch": self.batch,
            "size": list(self.size),
            "stored": list(self.stored) if self.stored else None,
            "held_in_memory": self.held,
            "decode": self.decode,
            "stages": [each.to_json() for each in self.stages],
            "images_per_second": {str(n): rate for n, rate in self.whole.items()},
            "workers": self.workers,
            "network_images_per_second": self.network,
            "bottleneck": self.bottleneck.name,
            "network_waits": self.waits,
            "other_work": round(self.other_work, 2),
            "unreadable": self.unreadable,
        }
