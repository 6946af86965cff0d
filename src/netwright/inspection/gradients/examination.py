"""Which gradients are wrong: few directions over all tensors at once, then each tensor by itself.

All tensors are moved together first, each at random. A wrong gradient anywhere shows in the sum, so
a sound network of any depth costs some twenty forward passes. Only where the sum disagrees, or
where a tensor's share of it is too small to be seen, is that tensor moved alone.

A derivative that disagrees is tried again at a point beside this one. A kink that stood just here
(ReLU at zero, equal maxima) is then somewhere else, and backprop agrees; a wrong formula stays
wrong.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from netwright.inspection.gradients.cases import Case, adopt, row_of
from netwright.inspection.gradients.rehearsal import Rehearsal
from netwright.inspection.gradients.slopes import ROUNDING, Slope, slope, steps_for
from netwright.inspection.gradients.subjects import Subject
from netwright.records.gradients import GradientRow, Verdict, WrongEntry

BESIDE = 1e-3
"""How far the point beside lies, as a share of the size of each tensor."""

SEEN = 1e-4
"""A tensor counts as compared in a sum when an error of this share of its gradient would show."""

SMALLEST = 1e-10
"""Derivatives below this share of the largest are not told from zero."""


class Examination:
    """The comparison of all subjects of a rehearsal; `rows()` does it."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        *,
        directions: int,
        entries: int,
        tolerance: float,
        seed: int,
    ) -> None:
        self.rehearsal = rehearsal
        self.directions = directions
        self.entries = entries
        self.tolerance = tolerance
        self.generator = torch.Generator().manual_seed(seed)
        self.cases = [
            Case(subject=each, gradient=gradient)
            for each, gradient in zip(rehearsal.subjects, rehearsal.first, strict=True)
        ]
        for case in self.cases:
            if case.gradient is None and case.subject.lenient:
                case.verdict = "no gradient wanted"
        self.asked = [each for each in self.cases if each.verdict is None]
        self.size = abs(rehearsal.value_with_graph)
        self.noise = rehearsal.noise(self._together())
        self.steps = self.every_step = steps_for(self.noise, self.size)
        self.overall = self.size

    def rows(self) -> list[GradientRow]:
        """A row for each input and each parameter."""
        if self.asked and not self._all_agree():
            self._one_by_one()
        for case in self.asked:
            if case.verdict is None:  # too small a share of every sum
                self._alone(case, directions=1)
        return [
            *(row_of(each) for each in self.cases),
            *(
                GradientRow(
                    name=each.name,
                    role=each.role,
                    shape=tuple(each.base.shape),
                    verdict="no gradient wanted",
                    also=each.also,
                )
                for each in self.rehearsal.left_out
            ),
        ]

    def _together(
        self, cases: Sequence[Case] | None = None, *, single: bool = False
    ) -> list[tuple[Subject, Tensor]]:
        """All tensors moved at random, in every entry or in a single one."""
        return [
            (each.subject, self._entry(each) if single else each.subject.direction(self.generator))
            for each in (self.asked if cases is None else cases)
        ]

    def _entry(self, case: Case) -> Tensor:
        count = max(1, case.subject.base.numel())
        drawn = int(torch.randint(0, count, (), generator=self.generator))
        return case.subject.entry(drawn) if case.subject.base.numel() else case.subject.base

    def _all_agree(self) -> bool:
        """Sums over all tensors; cases whose share was large enough to be seen are `ok`."""
        done = 0
        for _ in range(2 * self.directions):
            move = self._together()
            found, expected, sizes = self._sum(self.asked, move)
            if found.says == "differs":
                break
            if found.says == "unsettled":
                continue
            self._keep(self.asked, found, expected, sizes)
            done += 1
            if done == self.directions:
                break
        if done < self.directions:
            for case in self.asked:
                case.forget()
            return False
        for _ in range(self.entries):
            found, expected, sizes = self._sum(self.asked, self._together(single=True))
            if found.says == "agrees":
                self._keep(self.asked, found, expected, sizes, single=True)
            elif found.says == "differs":
                for case in self.asked:
                    case.forget()
                return False
        for case in self.asked:
            if case.directions >= self.directions:
                case.verdict = "ok"
            else:
                case.forget()
        self._smaller([each for each in self.asked if each.verdict is None])
        return True

    def _smaller(self, cases: Sequence[Case]) -> None:
        """Those whose share of the sum was too small to be seen, by sums of their own; the largest
        of them drop out each time. Gradients of nothing are looked at last: is it nothing?"""
        while cases:
            found, expected, sizes = self._sum(cases, self._together(cases))
            nothing = max(sizes) <= SMALLEST * self.overall
            if found.says != "agrees":
                return
            self._keep(cases, found, expected, sizes, whole=self.overall if nothing else 0.0)
            left = [each for each in cases if not each.directions]
            for case in cases:
                case.verdict = "ok" if case.directions else None
            if len(left) == len(cases):
                return
            cases = left

    def _sum(
        self, cases: Sequence[Case], move: Sequence[tuple[Subject, Tensor]]
    ) -> tuple[Slope, float, list[float]]:
        shares = [case.share(direction) for case, (_, direction) in zip(cases, move, strict=True)]
        expected = math.fsum(each for each, _ in shares) if _finite(shares) else math.nan
        sizes = [each for _, each in shares]
        scale = math.hypot(*sizes) if _finite(shares) else self.size
        self.overall = max(self.overall, scale)
        return self._slope(move, expected, max(scale, SMALLEST * self.size)), expected, sizes

    def _keep(
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

    def _slope(
        self,
        move: Sequence[tuple[Subject, Tensor]],
        expected: float,
        scale: float,
        *,
        levels: int | None = None,
    ) -> Slope:
        """The steps begin where the last derivative was found, for most are alike; for a small
        one with the largest, where rounding hides least."""
        steps = self.steps if scale > SEEN * self.overall else self.every_step
        found = slope(
            lambda t: self.rehearsal.value(move, t),
            expected,
            scale=scale,
            floor=max(SMALLEST * self.overall, 2 * ROUNDING * self.noise / steps[0]),
            noise=self.noise,
            tolerance=self.tolerance,
            steps=steps[:levels],
        )
        if found.says == "agrees" and found.level and steps is self.steps:
            self.steps = self.steps[min(found.level, max(0, len(self.steps) - 3)) :]
        return found

    def _one_by_one(self) -> None:
        """The sums disagree: at a kink that stands just here, or because a gradient is wrong."""
        with self._beside() as there:
            if there is not None and not there._all_agree():
                there._halve(there.asked)
                for case, twin in zip(self.asked, there.asked, strict=True):
                    adopt(case, twin)
                if any(each.verdict == "wrong" for each in self.asked):
                    return  # then a disagreement just here tells nothing of kinks
        for case in self.asked:
            if case.verdict != "not differentiable":
                case.forget()
                case.verdict = None
                if self._alone(case, directions=1, levels=3) != "ok":
                    case.verdict = "kink"

    def _halve(self, cases: Sequence[Case]) -> None:
        """Those of `cases` that are wrong, by sums over halves, halves of halves and so on."""
        if len(cases) == 1:
            self._alone(cases[0], directions=1, strict=True)
            return
        found, expected, sizes = self._sum(cases, self._together(cases))
        if found.says != "agrees":
            self._halve(cases[: len(cases) // 2])
            self._halve(cases[len(cases) // 2 :])
            return
        self._keep(cases, found, expected, sizes)
        for case in cases:
            if case.directions:
                case.verdict = "ok"
            else:
                self._alone(case, directions=1, strict=True)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[Examination | None]:
        """The same examination at a point beside this one; None where there is no number."""
        with self.rehearsal.beside(self.generator, BESIDE):
            gradients = self.rehearsal.gradients()
            if not math.isfinite(self.rehearsal.value_with_graph):
                yield None
                return
            there = object.__new__(Examination)
            there.__dict__.update(self.__dict__)
            there.asked = [
                Case(subject=each.subject, gradient=gradient)
                for each, gradient in zip(self.cases, gradients, strict=True)
                if each in self.asked
            ]
            there.cases = there.asked
            yield there

    def _alone(
        self, case: Case, *, directions: int, levels: int | None = None, strict: bool = False
    ) -> Verdict:
        """Move one tensor by itself. With `strict` a disagreement here is an error, for there is
        no kink just here; else another point must confirm it."""
        said: list[str] = []
        for _ in range(3 * directions):
            direction = case.subject.direction(self.generator)
            found = self._compare(case, direction, levels=levels)
            said.append(found.says)
            if found.says == "agrees":
                case.directions += 1
            if said.count("agrees") == directions or said.count("differs") == 2:
                break
            if levels is not None and found.says != "agrees":
                break
        if said.count("agrees") == directions and "differs" not in said:
            for _ in range(self.entries):
                found = self._compare(case, self._entry(case), levels=levels)
                case.entries += found.says == "agrees"
            case.verdict = "ok"
        elif strict:
            case.verdict = "wrong" if "differs" in said else "not differentiable"
            if case.verdict == "wrong":
                self._point_out(case)
        elif levels is None:
            self._confirm(case)
        return case.verdict or "kink"

    def _confirm(self, case: Case) -> None:
        """A tensor that disagrees when it is moved alone, judged at the point beside."""
        with self._beside() as there:
            if there is None:
                case.verdict = "not differentiable"
                return
            twin = there.asked[self.asked.index(case)]
            if there._alone(twin, directions=1, strict=True) == "ok":
                case.verdict = "kink"
            else:
                adopt(case, twin)

    def _compare(self, case: Case, direction: Tensor, *, levels: int | None = None) -> Slope:
        expected, size = case.share(direction)
        found = self._slope([(case.subject, direction)], expected, size, levels=levels)
        if math.isfinite(found.value):
            scale = max(size, abs(found.value))
            if not math.isfinite(size) or scale < SMALLEST * self.overall:
                scale = self.overall or 1.0
            off = abs(expected - found.value)
            case.compared(off if math.isfinite(off) else math.inf, found.bound, scale)
            if found.says == "differs" and math.isfinite(expected) and found.value:
                case.ratios.append(expected / found.value)
        return found

    def _point_out(self, case: Case) -> None:
        """A single entry of a wrong gradient that is wrong: one of a few, else it is searched for
        by halves."""
        count = case.subject.base.numel()
        drawn = torch.randint(0, max(1, count), (3,), generator=self.generator).tolist()
        if case.gradient is not None and count:
            drawn.insert(0, int(case.gradient.abs().reshape(-1).argmax()))
        if not any(self._shown(case, index) for index in dict.fromkeys(drawn)):
            direction = case.subject.direction(self.generator).reshape(-1)
            low, high = 0, count
            while high - low > 1:
                middle = (low + high) // 2
                part = torch.zeros_like(direction)
                part[low:middle] = direction[low:middle]
                expected, size = case.share(part.view(case.subject.base.shape))
                move = [(case.subject, part.view(case.subject.base.shape))]
                differs = self._slope(move, expected, size).says == "differs"
                low, high = (low, middle) if differs else (middle, high)
            self._shown(case, low)

    def _shown(self, case: Case, index: int) -> bool:
        """Whether this entry is wrong; then it is kept."""
        direction = case.subject.entry(index)
        expected, size = case.share(direction)
        found = self._slope([(case.subject, direction)], expected, size)
        if found.says != "differs":
            return False
        case.entries += 1
        place = torch.unravel_index(torch.tensor(index), case.subject.base.shape)
        case.entry = WrongEntry(
            index=tuple(int(each) for each in place),
            backprop=expected / case.subject.size,
            numeric=found.value / case.subject.size,
        )
        return True


def _finite(shares: Sequence[tuple[float, float]]) -> bool:
    return all(math.isfinite(a) and math.isfinite(b) for a, b in shares)
