"""What a check of gradients found: backprop beside numeric derivatives, a row for each tensor."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Verdict = Literal["ok", "wrong", "not finite", "kink", "not differentiable", "no gradient wanted"]
Role = Literal["input", "parameter"]

FAULTS: tuple[Verdict, ...] = ("wrong", "not finite", "not differentiable")
"""The verdicts that a check fails by."""


class Worst(NamedTuple):
    """The row that is furthest off: of the wrong ones if there are any, else of those that are not
    finite, else of all."""

    name: str
    error: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class WrongEntry:
    """One entry of a gradient that is wrong or no number: where it stands, and what either way of
    computing gives."""

    index: tuple[int, ...]
    backprop: float
    numeric: float


@dataclass(frozen=True, kw_only=True)
class GradientRow:
    """One input or parameter. `error` is the difference of the two derivatives and `bound` what
    the numeric one is known to, both as shares of the size of the gradient along the direction;
    None where nothing was compared. Where the gradient is zero they are shares of the largest
    gradient of all.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    verdict: Verdict
    directions: int = 0
    """Random directions over the whole tensor that were compared."""
    entries: int = 0
    """Single entries that were compared."""
    error: float | None = None
    bound: float | None = None
    ratio: float | None = None
    """Backprop over numeric derivative, where this is the same number in all directions."""
    entry: WrongEntry | None = None
    holes: int = 0
    """Entries that backprop gives no finite number for; `entry` is one of them."""
    unreached: bool = False
    """Backprop brought no gradient at all."""
    also: tuple[str, ...] = ()
    """Other names of the same tensor: tied weights."""


@dataclass(frozen=True, kw_only=True)
class GradientRecord:
    """The rows, the layers to blame, and how it was found.

    >>> row = GradientRow(name="weight", role="parameter", shape=(2,), verdict="ok", error=1e-11,
    ...                   bound=1e-10)
    >>> record = GradientRecord(name="Linear", rows=(row,), evaluations=20, noise=1e-16)
    >>> record.ok, record.worst
    (True, Worst(name='weight', error=1e-11, bound=1e-10))
    """

    name: str
    rows: tuple[GradientRow, ...]
    evaluations: int
    """Forward passes that were run."""
    noise: float
    """The rounding error of the output, as a share of it."""
    precision: str = "float64"
    """The coarsest type that it computes in, though given float64."""
    blamed: tuple[str, ...] = ()
    """Layers whose own backward pass is wrong, by their paths."""
    unsearched: tuple[str, ...] = ()
    """Layers that could not be looked at alone."""

    @property
    def ok(self) -> bool:
        """Whether no gradient is wrong, all are finite, and none could not be judged."""
        return all(each.verdict not in FAULTS for each in self.rows)

    @property
    def worst(self) -> Worst | None:
        """None where nothing was compared."""
        order = {"wrong": 4, "not finite": 3, "not differentiable": 2, "ok": 1}
        found = [
            (order[each.verdict], each.error, each)
            for each in self.rows
            if each.verdict in order and each.error is not None
        ]
        if not found:
            return None
        _, error, row = max(found, key=lambda each: (each[0], each[1]))
        return Worst(row.name, error, row.bound if row.bound is not None else float("inf"))

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold: NaN and infinity are None."""
        worst = self.worst
        found: dict[str, Any] = _finite(dataclasses.asdict(self))
        return {
            **found,
            "ok": self.ok,
            "worst": _finite(worst._asdict()) if worst is not None else None,
        }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
