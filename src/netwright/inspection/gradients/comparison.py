"""One move of some tensors: what backprop promises of it, beside the numeric derivative."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from netwright.inspection.gradients.cases import Case
from netwright.inspection.gradients.rehearsal import Rehearsal
from netwright.inspection.gradients.slopes import ROUNDING, Slope, slope, steps_for
from netwright.inspection.gradients.subjects import Subject

SEEN = 1e-4
"""A tensor counts as compared in a sum when an error of this share of its gradient would show."""

SMALLEST = 1e-10
"""Derivatives below this share of the largest are not told from zero."""

Moves = list[tuple[Subject, Tensor]]


class Comparison:
    """Moves tensors and compares. `overall` is the largest derivative so far, `noise` the rounding
    error of a value, `size` the size of the value itself."""

    def __init__(
        self, rehearsal: Rehearsal, cases: Sequence[Case], *, tolerance: float, seed: int
    ) -> None:
        self.rehearsal = rehearsal
        self.generator = torch.Generator().manual_seed(seed)
        self._tolerance = tolerance
        self.size = self.overall = abs(rehearsal.value_with_graph)
        self.noise = rehearsal.noise(self.moves(cases))
        self._steps = self._every_step = steps_for(self.noise, self.size)

    def at_the_point_beside(self) -> Comparison:
        """The same with steps of its own; random numbers go on."""
        return copy.copy(self)

    def moves(self, cases: Sequence[Case], *, single: bool = False) -> Moves:
        """These tensors moved at random, in every entry or in a single one."""
        return [
            (each.subject, self.entry(each) if single else each.subject.direction(self.generator))
            for each in cases
        ]

    def entry(self, case: Case) -> Tensor:
        """One entry of it, drawn at random, moved alone."""
        count = max(1, case.subject.base.numel())
        drawn = int(torch.randint(0, count, (), generator=self.generator))
        return case.subject.entry(drawn) if case.subject.base.numel() else case.subject.base

    def of_sum(
        self, cases: Sequence[Case], moves: Sequence[tuple[Subject, Tensor]]
    ) -> tuple[Slope, float, list[float]]:
        """Of all at once: what is found, what was expected, and how large the share of each is."""
        shares = [case.share(direction) for case, (_, direction) in zip(cases, moves, strict=True)]
        sizes = [each for _, each in shares]
        finite = all(math.isfinite(each) for share in shares for each in share)
        expected = math.fsum(each for each, _ in shares) if finite else math.nan
        scale = math.hypot(*sizes) if finite else self.size
        self.overall = max(self.overall, scale)
        return self.slope(moves, expected, max(scale, SMALLEST * self.size)), expected, sizes

    def of_one(self, case: Case, direction: Tensor, *, levels: int | None = None) -> Slope:
        """Of one tensor alone; the case keeps how far they are apart."""
        expected, size = case.share(direction)
        found = self.slope([(case.subject, direction)], expected, size, levels=levels)
        if math.isfinite(found.value):
            scale = max(size, abs(found.value))
            if not math.isfinite(size) or scale < SMALLEST * self.overall:
                scale = self.overall or 1.0
            off = abs(expected - found.value)
            case.compared(off if math.isfinite(off) else math.inf, found.bound, scale)
            if found.says == "differs" and math.isfinite(expected) and found.value:
                case.ratios.append(expected / found.value)
        return found

    def slope(
        self,
        moves: Sequence[tuple[Subject, Tensor]],
        expected: float,
        scale: float,
        *,
        levels: int | None = None,
    ) -> Slope:
        """The steps begin where the last derivative was found, for most are alike; for a small
        one with the largest, where rounding hides least."""
        steps = self._steps if scale > SEEN * self.overall else self._every_step
        found = slope(
            lambda t: self.rehearsal.value(moves, t),
            expected,
            scale=scale,
            floor=max(SMALLEST * self.overall, 2 * ROUNDING * self.noise / steps[0]),
            noise=self.noise,
            tolerance=self._tolerance,
            steps=steps[:levels],
        )
        if found.says == "agrees" and found.level and steps is self._steps:
            self._steps = self._steps[min(found.level, max(0, len(self._steps) - 3)) :]
        return found

    def keep(
        self,
        cases: Sequence[Case],
        found: Slope,
        expected: float,
        sizes: Sequence[float],
        *,
        single: bool = False,
        whole: float = 0.0,
    ) -> None:
        """A sum that agrees speaks for those of whose gradient it would have shown a part; where
        no part has a gradient, for all: as shares of the `whole`."""
        off = abs(expected - found.value)
        for case, size in zip(cases, sizes, strict=True):
            if max(off, found.bound) > SEEN * max(size, whole):
                continue
            case.compared(off, found.bound, max(size, whole))
            if single:
                case.entries += 1
            else:
                case.directions += 1
