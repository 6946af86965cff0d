"""What a run over several seeds offers to the report: the material of each seed, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from netwright.core.errors import DataError
from netwright.records.arrays import Array
from netwright.records.run import Run
from netwright.records.seeds import SeedRun, Spread, middle, seed_runs, spread
from netwright.report.evidence import Evidence
from netwright.report.material import SPLITS, Material


class SeedsMaterial:
    """The folder around the seeds, and the seeds in it. `own` is what the folder says itself."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.own = Material(run)
        self.seeds: dict[int, Material] = {
            each.seed: Material(each.run) for each in seed_runs(run) if _begun(each)
        }
        self.waiting = [each.seed for each in seed_runs(run) if each.seed not in self.seeds]

    @property
    def count(self) -> int:
        return len(self.seeds) + len(self.waiting)

    @cached_property
    def done(self) -> dict[int, Material]:
        """The seeds that came to their end; only these are counted."""
        return {seed: each for seed, each in self.seeds.items() if each.status == "done"}

    @property
    def diverged(self) -> list[int]:
        return [seed for seed, each in self.seeds.items() if each.status == "diverged"]

    @cached_property
    def split(self) -> str:
        """The split that judges: the test images where there are some."""
        return next((split for split in SPLITS if self.accuracies(split)), "val")

    @cached_property
    def middle(self) -> int | None:
        """The seed in the middle, by the metric that chose the weights."""
        bests = {seed: each.best_value for seed, each in self.done.items()}
        known = {seed: value for seed, value in bests.items() if value is not None}
        if known:
            return middle(known)
        judged = middle(self.accuracies(self.split))
        return judged if judged is not None else next(iter(self.done), None)

    @property
    def typical(self) -> Material | None:
        """The seed that stands for all where only one can: its model, its data."""
        if self.middle is not None:
            return self.seeds[self.middle]
        return next(iter(self.seeds.values()), None)

    @property
    def data_name(self) -> str:
        return (self.typical or self.own).data_name

    @property
    def model_name(self) -> str:
        return (self.typical or self.own).model_name

    def evidence(self, split: str) -> dict[int, Evidence]:
        """What was measured on `split`, of each seed that is done and was measured."""
        return {
            seed: found
            for seed, each in self.done.items()
            for found in each.evidence
            if found.split == split and found.accuracy is not None
        }

    def accuracies(self, split: str) -> dict[int, float]:
        return {
            seed: each.accuracy
            for seed, each in self.evidence(split).items()
            if each.accuracy is not None
        }

    def spread(self, split: str) -> Spread | None:
        return spread(self.accuracies(split))

    def confusion(self, split: str) -> Array | None:
        """The confusion matrices of all seeds added up, (C, C); None without any."""
        found = [
            each.confusion for each in self.evidence(split).values() if each.confusion is not None
        ]
        if not found or any(each.shape != found[0].shape for each in found):
            return None
        total: Array = np.sum(found, axis=0)
        return total

    def curves(self, name: str) -> Mapping[float, dict[int, float]]:
        """At each epoch (or step) the values of a metric by seed; those not finite left out.

        Seeds that diverged count as far as they went.
        """
        places: dict[float, dict[int, float]] = {}
        for seed, each in self.seeds.items():
            if each.axis != self.axis:
                continue
            for place, value in each.curve(name):
                if value is not None:
                    places.setdefault(place, {})[seed] = value
        return dict(sorted(places.items()))

    @cached_property
    def axis(self) -> str:
        return (self.typical or self.own).axis


def _begun(each: SeedRun) -> bool:
    try:
        return each.status != "waiting"
    except DataError:
        return True  # its folder is damaged: the material says so
