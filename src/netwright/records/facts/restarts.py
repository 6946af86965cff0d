"""Weights that were loaded while a run was going on."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class RestartFact:
    """Loaded after step `step`. `before` and `after` are median losses of the steps round it,
    `spread` the standard deviation of those before; `optimizer` says whether an optimizer's state
    was loaded as well. `missing` is the share of the model's own names that the file had nothing
    for."""

    step: int
    before: float
    after: float
    spread: float
    optimizer: bool = False
    missing: float = 0.0


@fact("restarts")
@dataclass(frozen=True, kw_only=True)
class Restarts:
    restarts: tuple[RestartFact, ...] = ()
