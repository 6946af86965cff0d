"""The state a network starts in: its signal forward and backward, layer by layer, as frozen facts.

A *stage* is one run of a layer with weights and all that follows it until the next one: norm,
activation. Its *signal* is what it ends in. Forward is told by the standard deviation of the
signal, backward by the norm of the loss's gradient with respect to the signal: weight gradients
are blind to faults of scale, for there one factor shrinks while the other grows.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal[
    "steady", "shrinking", "growing", "saturated", "dead", "alike", "waits", "nonfinite"
]
"""`steady`: nothing is wrong. `shrinking`, `growing`: the product of the gains, forward or
backward, has left [1e-3, 1e3]. `saturated`: an activation that squashes on both sides has, for
most of its values, a slope below 5 % of its steepest. `dead`: most units have no slope for any
sample, or the weights get no gradient and never will. `alike`: all units of a layer are equal and
stay so. `waits`: no gradient yet, because a later layer starts at zero and learns first; no fault.
`nonfinite`: NaN or infinity."""

LEAST_PRODUCT, MOST_PRODUCT = 1e-3, 1e3
"""Bounds of the products of gains, forward and backward."""

LEAST_DRIFT, MOST_DRIFT = 0.9, 1.1
"""Geometric mean gains that are mild: over very many stages they multiply to what would be a fault
in few. A residual network of 152 layers drifts by 1.055, in all by 4,000, and trains; only beyond
the squares of the bounds is mild drift a fault as well."""

MOST_FLAT = 0.5
"""The share of a layer's values, or units, that may be flat."""

LEAST_SEEN = 32
"""Fewer values of a unit than this do not show that it is dead."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """How the numbers of one tensor lie. `zeros` is the share of exact zeros; `bars` are the
    shares of the others in equal intervals from `low` to `high`."""

    mean: float
    std: float
    zeros: float
    low: float
    high: float
    bars: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class StageState:
    """One stage. `layer` is the path of the module with the weights, `operation` what it does,
    `call` counts its runs from 0; `norm` and `activation` are what follows, "" for none.

    `raw` is what the weights put out, `signal` what the stage ends in, of shape `shape`.
    `saturated` is the share of the activation's values where its slope is below 5 % of its
    steepest, `dead` the share of units flat (0.1 %) on every sample, `seen` how many values of a
    unit that rests on; `squashes` whether the activation is flat on both sides, so that
    saturation is a fault: half a ReLU's values always are. `gradient` is the norm of the loss's
    gradient with respect to the signal, `weight_gradient` to the weights; None: the loss does not
    depend on it. `forward` and `backward` are the gains from the stage before, and to this one
    from the one after; None where nothing is compared. `started_at_zero`: its weights, or the
    scale of its norm, are all 0.
    """

    layer: str
    operation: str
    call: int
    norm: str
    activation: str
    shape: tuple[int, ...]
    raw: Values
    signal: Values
    saturated: float | None
    dead: float | None
    seen: int
    squashes: bool
    gradient: float | None
    weight_gradient: float | None
    alike: bool
    started_at_zero: bool
    forward: float | None = None
    backward: float | None = None
    verdict: Verdict = "steady"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One thing that is wrong: with which stages, and by how much.

    `direction` is "forward" or "backward" for gains; `value` is the product of the gains, the
    worst share (of dead units 0 where it is the gradient that is missing), or the number of stages
    (`alike`, `nonfinite`). `reach` is the number of stages the product is over.
    """

    verdict: Verdict
    layers: tuple[str, ...]
    value: float
    direction: Literal["", "forward", "backward"] = ""
    reach: int = 0


@dataclass(frozen=True, kw_only=True)
class InitialState:
    """What `netwright.inspection.initial_state` found. `samples` is the size of the batch, `loss`
    how the gradient began; `initialiser` and `activation` are set where they were replaced."""

    model: str
    kind: str
    samples: int
    loss: str
    stages: tuple[StageState, ...]
    judgements: tuple[Judgement, ...]
    forward_product: float | None
    forward_gain: float | None
    """The geometric mean of the forward gains, for one stage."""
    backward_product: float | None
    backward_gain: float | None
    initialiser: str = ""
    activation: str = ""

    @property
    def verdict(self) -> Verdict:
        """The gravest of what is wrong; `steady` where nothing is."""
        return self.judgements[0].verdict if self.judgements else "steady"

    def to_json(self) -> dict[str, Any]:
        """All facts as what JSON can hold: NaN and infinity are None."""
        plain: dict[str, Any] = _finite(dataclasses.asdict(self))
        return {"format": 1, "verdict": self.verdict, **plain}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
