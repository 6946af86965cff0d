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
from netwright.inspection.gradients.comparison import Comparison
from netwright.inspection.gradients.entries import point_out
from netwright.inspection.gradients.holes import beside_too, note_holes, set_apart
from netwright.inspection.gradients.rehearsal import DOMAIN, Rehearsal
from netwright.inspection.gradients.sums import all_agree
from netwright.records.gradients import GradientRow, Verdict

BESIDE = 1e-3
"""How far the point beside lies, as a share of the size of each tensor."""

TRIES = 4
"""Points beside that are tried: where a domain ends, half of them or more lie outside."""


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
        self._rehearsal = rehearsal
        self._directions, self._entries = directions, entries
        self._cases = [
            Case(subject=each, gradient=gradient)
            for each, gradient in zip(rehearsal.subjects, rehearsal.first, strict=True)
        ]
        for case in self._cases:
            if case.gradient is None and case.subject.lenient:
                case.verdict = "no gradient wanted"
        self._comparison = Comparison(
            rehearsal,
            [each for each in self._cases if each.verdict is None],
            tolerance=tolerance,
            seed=seed,
        )

    @property
    def noise(self) -> float:
        """The rounding error of the output, as a share of it."""
        size = self._comparison.size
        return self._comparison.noise / size if size else 0.0

    def rows(self) -> list[GradientRow]:
        """A row for each input and each parameter."""
        self._look_for_holes()
        asked = [each for each in self._cases if each.verdict is None]
        if asked and not self._agree(self._comparison, asked):
            self._one_by_one(asked)
        for case in asked:
            if case.verdict is None:  # too small a share of every sum
                self._alone(self._comparison, case)
        return [
            *(row_of(each) for each in self._cases),
            *(
                GradientRow(
                    name=each.name,
                    role=each.role,
                    shape=tuple(each.base.shape),
                    verdict="no gradient wanted",
                    also=each.also,
                )
                for each in self._rehearsal.left_out
            ),
        ]

    def _agree(self, comparison: Comparison, cases: Sequence[Case]) -> bool:
        return all_agree(comparison, cases, directions=self._directions, entries=self._entries)

    def _look_for_holes(self) -> None:
        """Entries that backprop has no finite number for, here and at a point beside."""
        holed = [
            each
            for each in self._cases
            if each.gradient is not None and not bool(torch.isfinite(each.gradient).all())
        ]
        if not holed:
            return
        for case in holed:
            note_holes(self._comparison, case)
        with self._beside(holed) as there:
            if there is not None:
                for case, twin in zip(holed, there[1], strict=True):
                    beside_too(there[0], case, twin.gradient)
        for case in holed:
            set_apart(case)

    def _one_by_one(self, cases: Sequence[Case]) -> None:
        """The sums disagree: at a kink that stands just here, or because a gradient is wrong."""
        with self._beside(cases) as there:
            otherwise: Verdict = "not differentiable" if there is None else "kink"
            if there is not None and not self._agree(*there):
                self._halve(*there)
                for case, twin in zip(cases, there[1], strict=True):
                    adopt(case, twin)
                if any(each.verdict == "wrong" for each in cases):
                    return  # then a disagreement just here tells nothing of kinks
        for case in cases:
            if case.verdict != "not differentiable":
                case.forget()
                case.verdict = None
                if self._alone(self._comparison, case, levels=3) != "ok":
                    case.verdict = otherwise

    def _halve(self, comparison: Comparison, cases: Sequence[Case]) -> None:
        """Those of `cases` that are wrong, by sums over halves, halves of halves and so on."""
        if len(cases) == 1:
            self._alone(comparison, cases[0], strict=True)
            return
        found, expected, sizes = comparison.of_sum(cases, comparison.moves(cases))
        if found.says != "agrees":
            self._halve(comparison, cases[: len(cases) // 2])
            self._halve(comparison, cases[len(cases) // 2 :])
            return
        comparison.keep(cases, found, expected, sizes)
        for case in cases:
            if case.directions:
                case.verdict = "ok"
            else:
                self._alone(comparison, case, strict=True)

    @contextlib.contextmanager
    def _beside(self, cases: Sequence[Case]) -> Iterator[tuple[Comparison, list[Case]] | None]:
        """The same comparison and cases at a point beside this one; None where there is no
        number at any."""
        for _ in range(TRIES):
            with self._rehearsal.beside(self._comparison.generator, BESIDE):
                gradients = self._gradients_here()
                if gradients is not None:
                    comparison = self._comparison.at_the_point_beside()
                    twins = [
                        Case(subject=e.subject, gradient=e.whole(gradients[id(e.subject)]))
                        for e in cases
                    ]
                    yield comparison, twins
                    return
        yield None

    def _gradients_here(self) -> dict[int, Tensor | None] | None:
        """By the ids of the subjects; None where the function gives no finite number."""
        try:
            found = self._rehearsal.gradients()
        except DOMAIN:
            return None
        if not math.isfinite(self._rehearsal.value_with_graph):
            return None
        return dict(zip(map(id, self._rehearsal.subjects), found, strict=True))

    def _alone(
        self, comparison: Comparison, case: Case, *, levels: int | None = None, strict: bool = False
    ) -> Verdict:
        """Move one tensor by itself. With `strict` a disagreement here is an error, for there is
        no kink just here; else another point must confirm it."""
        said: list[str] = []
        for _ in range(3):
            found = comparison.of_one(
                case, case.subject.direction(comparison.generator), levels=levels
            )
            said.append(found.says)
            if found.says == "agrees":
                case.directions += 1
                break
            if said.count("differs") == 2 or levels is not None:
                break
        if "agrees" in said and "differs" not in said:
            for _ in range(self._entries):
                found = comparison.of_one(case, comparison.entry(case), levels=levels)
                case.entries += found.says == "agrees"
            case.verdict = "ok"
        elif strict:
            case.verdict = "wrong" if "differs" in said else "not differentiable"
            if case.verdict == "wrong":
                point_out(comparison, case)
        elif levels is None:
            self._confirm(case)
        return case.verdict or "kink"

    def _confirm(self, case: Case) -> None:
        """A tensor that disagrees when it is moved alone, judged at the point beside."""
        with self._beside([case]) as there:
            if there is None:
                case.verdict = "not differentiable"
                return
            found, (twin,) = there
            if self._alone(found, twin, strict=True) == "ok":
                case.verdict = "kink"
            else:
                adopt(case, twin)
