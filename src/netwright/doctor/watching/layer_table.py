"""The layer x time table of a watch, in bounded memory, and which units have been silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from netwright.doctor.watching.look import LayerLook
from netwright.records.facts.layers import Layers

MOST = 240
"""Looks that are remembered; of more, every other one of the older half is left out."""

WINDOW = 1000
"""Samples over which a unit must be silent to count as dead."""

SIGNALS = (
    "activation_rms", "activation_mean", "zero_share", "flat_share", "dead_share",
    "window_samples", "gradient_rms", "weight_gradient_norm", "weight_norm", "update_ratio",
)  # fmt: skip


@dataclass
class _Units:
    """Which units of a layer were alive in the window that is filling, and in the one before."""

    alive: Tensor | None = None
    samples: int = 0
    dead: float = float("nan")
    full: int = 0


@dataclass
class LayerTable:
    names: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    _rows: list[tuple[int, dict[str, dict[str, float]]]] = field(default_factory=list)
    _units: dict[str, _Units] = field(default_factory=dict)

    def add(self, step: int, layers: list[LayerLook]) -> None:
        """What one look saw."""
        row: dict[str, dict[str, float]] = {}
        place = 0
        for each in layers:
            if each.name in self.names:
                place = self.names.index(each.name) + 1
            else:
                self.names.insert(place, each.name)
                self.kinds.insert(place, each.kind)
                place += 1
            values = dict(each.values)
            if each.alive is not None:
                units = self._units.setdefault(each.name, _Units())
                _note(units, each)
                values["dead_share"], values["window_samples"] = units.dead, float(units.full)
            row[each.name] = values
        if len(self._rows) >= MOST:
            half = len(self._rows) // 2
            del self._rows[1:half:2]
        self._rows.append((step, row))

    def cut(self, step: int) -> None:
        """Forget what was seen after that step, and begin to count silent units anew."""
        self._rows = [each for each in self._rows if each[0] <= step]
        self._units.clear()

    def facts(self) -> Layers:
        tables = {
            signal: np.array(
                [
                    [row.get(name, {}).get(signal, np.nan) for name in self.names]
                    for _, row in self._rows
                ],
                dtype=np.float64,
            ).reshape(len(self._rows), len(self.names))
            for signal in SIGNALS
        }
        steps: np.ndarray[Any, np.dtype[np.float64]] = np.array(
            [step for step, _ in self._rows], dtype=np.float64
        )
        return Layers(names=tuple(self.names), kinds=tuple(self.kinds), step=steps, **tables)


def _note(units: _Units, look: LayerLook) -> None:
    """A window grows until it has seen `WINDOW` samples; then the silent units are counted."""
    alive = look.alive
    assert alive is not None
    same = units.alive is not None and units.alive.shape == alive.shape
    units.alive = alive if not same else units.alive | alive  # type: ignore[operator]
    units.samples = units.samples + look.samples if same else look.samples
    if units.samples >= WINDOW:
        units.dead = 1 - float(units.alive.float().mean())
        units.full = units.samples
        units.alive, units.samples = None, 0
