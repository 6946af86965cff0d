"""Filters and units of the layers: those that are 0, and those that are alike."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@dataclass(frozen=True, kw_only=True)
class FilterFact:
    """One layer: `filters` of them were looked at. `dead` have a norm below a thousandth of the
    median one, `alike` have another one at a cosine beyond `Filters.cosine`."""

    name: str
    filters: int
    fan_in: int
    dead: int = 0
    alike: int = 0


@fact("filters")
@dataclass(frozen=True, kw_only=True)
class Filters:
    layers: tuple[FilterFact, ...] = ()
    step: int = 0
    cosine: float = 0.99
