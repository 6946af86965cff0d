"""What is left of a signal and of its gradient behind n layers, for an initialiser and an
activation."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.calculations.activation import Name, negative_slope
from netwright.arithmetic.through_layers import Depth, matched_gain, through_layers, weight_variance
from netwright.arithmetic.working import Fact, Line, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc signal relu init=default fan_in=100 layers=10"
SHOWN = 20

_FORMULAS = {
    "he": "g**2 / n",
    "xavier": "g**2 * 2 / (n + m)",
    "lecun": "1 / n",
    "orthogonal": "g**2 / max(n, m)",
    "default": "1 / (3 * n)",
    "normal": "d**2",
}


@config
class SignalOptions:
    act: Name = setting("relu", help="the activation behind each layer")
    init: Literal["he", "xavier", "lecun", "orthogonal", "default", "normal"] = setting(
        "he", help="what the weights are drawn by; default: as torch's layers do"
    )
    fan_in: int = setting(256, ge=1, le=MOST, help="inputs of a unit: kernel x kernel x channels")
    fan_out: int | None = setting(
        None, ge=1, le=MOST, help="units that read one input; as many as fan_in unless given"
    )
    num_layers: int = setting(10, ge=1, le=200, help="layers, one behind the other")
    gain: float | None = setting(
        None, gt=0, le=1000, help="factor of the spread; matched to the activation unless given"
    )
    std: float = setting(0.01, gt=0, le=1000, help="standard deviation of init=normal")
    bias: bool | None = setting(
        None, help="whether biases are drawn too; only torch's default does, and has them"
    )
    negative_slope: float | None = setting(
        None, ge=0, le=1, help="of leaky_relu (0.01 unless given) and prelu (0.25)"
    )


@CALCULATIONS.register(
    "signal",
    options=SignalOptions,
    thing="act",
    example=EXAMPLE,
    paper="Poole et al. 2016, Exponential expressivity in deep neural networks through transient "
    "chaos; He et al. 2015, Delving deep into rectifiers, section 2.2",
)
def signal(options: SignalOptions) -> Worked:
    """What random weights leave of a signal and its gradient behind n layers."""
    n, m = options.fan_in, options.fan_out or options.fan_in
    slope = negative_slope(options.act, options.negative_slope)
    gain = matched_gain(options.act, slope) if options.gain is None else options.gain
    variance = weight_variance(options.init, n, m, gain=gain, std=options.std)
    biased = options.init == "default" and options.bias is not False
    behind = through_layers(
        options.act,
        options.num_layers,
        fan_in=n,
        fan_out=m,
        variance=variance,
        bias_variance=1 / (3 * n) if biased else 0.0,
        negative_slope=slope,
    )
    numbers = {"g": gain, "n": n, "m": m, "d": options.std}
    formula = _FORMULAS[options.init]
    used = {each: numbers[each] for each in re.findall(r"\b[gnmd]\b", formula)}
    working: list[Line] = [line("variance", formula, topic="signal", **used)]
    facts: list[tuple[str, Phrase, Any]] = [
        ("std", Phrase("standard deviation of the weights"), math.sqrt(variance))
    ]
    if behind:
        backward = math.prod(each.backward for each in behind)
        count = len(behind)
        facts += [
            ("first", Phrase("spread behind the first layer"), behind[0].spread),
            ("last", Phrase("spread behind the last layer"), behind[-1].spread),
            ("size", Phrase("root mean square behind the last layer"), behind[-1].size),
            ("forward", Phrase("gain of the signal a layer"), behind[-1].size ** (1 / count)),
            ("backward", Phrase("gain of the gradient a layer"), backward ** (1 / count)),
            ("gradient", Phrase("gradient at the first layer, of 1 at the last"), backward),
        ]
    shown = [
        (number, each.before, each.mean, each.spread, each.forward, each.backward)
        for number, each in enumerate(behind, 1)
    ]
    return Worked(
        facts=tuple(
            Fact(name=name, label=label, value=_finite(value), topic="signal")
            for name, label, value in facts
        ),
        working=tuple(working),
        tables=(
            Rows(
                name="depths",
                head=("layer", "before", "mean", "std", "forward", "backward"),
                rows=tuple(shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], shown[-1]]),
                topic="signal",
            ),
        ),
        notes=tuple(_notes(options, behind, biased=biased)),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _notes(options: SignalOptions, behind: list[Depth], *, biased: bool) -> list[Phrase]:
    notes = [
        Phrase(
            "An input of mean square 1 and wide layers are assumed, and neither norm nor shortcut. "
            "Narrow layers scatter around it: look at your own with netwright inspect MODEL "
            "--initial noise."
        )
    ]
    if len(behind) < options.num_layers:
        notes.append(
            Phrase(
                "Behind layer {count} the signal has left the numbers that can be computed with.",
                count=len(behind),
            )
        )
    if biased:
        notes.append(
            Phrase(
                "The biases are drawn too, with variance 1/(3 fan_in): in deep stacks they are "
                "what is left. bias=false shows the weights alone."
            )
        )
    return notes
