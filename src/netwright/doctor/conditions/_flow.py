"""Reading the layer x time table: the layers in the order they run, and their medians over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netwright.doctor.conditions._capacity import far_from_done
from netwright.doctor.conditions._harm import any_of, backward_steps, nonfinite, stuck, unfit
from netwright.records.facts.layers import Layers, Table
from netwright.records.findings import Evidence
from netwright.records.record import Record

LOOKS = 3
"""Looks below which a table says little."""


@dataclass(frozen=True)
class Column:
    """One layer: its name, its kind, and one signal over time."""

    name: str
    kind: str
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]

    @property
    def median(self) -> float:
        return float(np.median(self.values)) if len(self.values) else float("nan")

    @property
    def early(self) -> float:
        """Of the first third of the looks, three at the least."""
        return float(np.median(self.values[: max(LOOKS, len(self.values) // 3)]))

    @property
    def late(self) -> float:
        """Of the last three."""
        return float(np.median(self.values[-LOOKS:]))


def columns(layers: Layers, signal: str, *, activations: bool = False) -> list[Column]:
    """The layers with weights (or the activations) that have the signal at enough looks."""
    table: Table = getattr(layers, signal)
    found = []
    for place, (name, kind) in enumerate(zip(layers.names, layers.kinds, strict=True)):
        if (":" in name) is not activations or "#" in name:
            continue
        values = table[:, place]
        finite = values[np.isfinite(values)]
        if len(finite) >= LOOKS:
            found.append(Column(name, kind, finite))
    return found


def bad(record: Record) -> tuple[Evidence, ...]:
    """Harm that a signal that does not flow would bring about, the surest first."""
    surest = any_of(nonfinite(record), stuck(record), unfit(record), backward_steps(record))
    return surest or any_of(far_from_done(record))


def layer_of(name: str) -> str:
    """The path of the layer before an activation: `0:relu` stands behind `0`."""
    return name.partition(":")[0]
