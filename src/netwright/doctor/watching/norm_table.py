"""The norms of a model, as the looks have seen them: each with the fewest values it ever had."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from netwright.records.facts.norms import NormFact, Norms


class NormTable:
    """The newest fact of each norm, by its name."""

    def __init__(self) -> None:
        self._norms: dict[str, NormFact] = {}

    def add(self, norms: Iterable[NormFact]) -> None:
        """What one look has seen."""
        for each in norms:
            known = self._norms.get(each.name)
            least = min(each.values, known.values) if known is not None else each.values
            self._norms[each.name] = dataclasses.replace(each, values=least)

    def clear(self) -> None:
        """Forget what was seen."""
        self._norms.clear()

    def facts(self, step: int) -> list[Norms]:
        """Of all norms after step `step`; nothing where none was seen."""
        return [Norms(norms=tuple(self._norms.values()), step=step)] if self._norms else []
