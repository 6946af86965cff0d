"""One tensor under examination: what backprop gives it, and what was compared so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from netwright.inspection.gradients.subjects import Subject
from netwright.records.gradients import GradientRow, Verdict, WrongEntry


@dataclass(kw_only=True, eq=False)
class Case:
    """One subject, the gradient that backprop gives it, and what was compared so far. `holes`
    are the entries that it gives no finite number for; they are none of the comparison."""

    subject: Subject
    gradient: Tensor | None
    verdict: Verdict | None = None
    directions: int = 0
    entries: int = 0
    error: float | None = None
    bound: float | None = None
    ratios: list[float] = field(default_factory=list)
    entry: WrongEntry | None = None
    holes: Tensor | None = None

    def share(self, direction: Tensor) -> tuple[float, float]:
        """The derivative along `direction` by backprop, and the size it typically has."""
        if self.gradient is None:
            return 0.0, 0.0
        parts = self.gradient * direction
        return float(parts.sum()), float(parts.norm())

    def whole(self, gradient: Tensor | None) -> Tensor | None:
        """A gradient at another point, without the entries that are none of the comparison."""
        fixed = self.subject.fixed
        return gradient if gradient is None or fixed is None else gradient.masked_fill(fixed, 0.0)

    def compared(self, off: float, bound: float, scale: float) -> None:
        """Keep the largest error seen, and the bound that belongs to it."""
        error = off / (scale or 1.0)
        if self.error is None or error > self.error:
            self.error, self.bound = error, bound / (scale or 1.0)

    def forget(self) -> None:
        self.directions, self.entries, self.error, self.bound = 0, 0, None, None


def adopt(case: Case, twin: Case) -> None:
    """What was found at the point beside holds for this case."""
    for name in ("verdict", "directions", "entries", "error", "bound", "ratios", "entry"):
        setattr(case, name, getattr(twin, name))


def row_of(case: Case) -> GradientRow:
    ratios = case.ratios if case.verdict == "wrong" else []
    verdict = case.verdict or "ok"
    holed = case.holes is not None
    if holed and verdict != "wrong":
        verdict = "not finite"
    same = len(ratios) > 1 and max(ratios) - min(ratios) <= 1e-3 * max(map(abs, ratios))
    return GradientRow(
        name=case.subject.name,
        role=case.subject.role,
        shape=tuple(case.subject.base.shape),
        verdict=verdict,
        directions=case.directions,
        entries=case.entries,
        error=math.inf if holed else case.error,
        bound=None if holed else case.bound,
        ratio=ratios[0] if same else None,
        entry=case.entry,
        unreached=case.gradient is None and case.verdict in ("ok", "wrong"),
        holes=int(case.holes.sum()) if case.holes is not None else 0,
        also=case.subject.also,
    )
