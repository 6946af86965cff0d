"""What went on in each layer at the steps that were looked at: a layer x time table a signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.records.facts import fact

Table = np.ndarray[Any, np.dtype[np.float64]]


def _empty() -> Table:
    return np.zeros((0, 0))


@fact("layers")
@dataclass(frozen=True, kw_only=True)
class Layers:
    """Rows are the steps in `step`, columns the layers in `names`, in the order they run. NaN
    where a layer did not run, or has no such signal.

    A layer is a module with weights of its own or an activation module; its output is what the
    signals of activations are of.
    """

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    step: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros(0))
    activation_rms: Table = field(default_factory=_empty)
    activation_mean: Table = field(default_factory=_empty)
    zero_share: Table = field(default_factory=_empty)
    """Share of the sampled outputs that are exactly 0."""
    flat_share: Table = field(default_factory=_empty)
    """Share of outputs of a tanh beyond +-0.99, or of a sigmoid outside 0.01 .. 0.99."""
    dead_share: Table = field(default_factory=_empty)
    """Share of units (channels, features) that were 0 on every sample of the window before."""
    window_samples: Table = field(default_factory=_empty)
    """How many samples that window had."""
    gradient_rms: Table = field(default_factory=_empty)
    """Of the loss by the layer's output (not by its weights), times the batch's size."""
    weight_gradient_norm: Table = field(default_factory=_empty)
    weight_norm: Table = field(default_factory=_empty)
    update_ratio: Table = field(default_factory=_empty)
    """Norm of the step over the norm of the layer's weights."""

    def column(self, signal: str, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One signal of one layer over time."""
        table: Table = getattr(self, signal)
        return table[:, self.names.index(name)]
