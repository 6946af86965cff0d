"""The card of an activation: its range, its slope, and what it does to a normal signal."""

from __future__ import annotations

import math
from typing import Any, Literal

from netwright.arithmetic.activations import (
    activation_facts,
    keeping_gain,
    moments,
    steepest,
)
from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.working import Fact, Line, Worked, line, plain
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc activation relu"

Name = Literal[
    "elu", "gelu", "hardswish", "leaky_relu", "linear", "mish", "prelu", "relu", "relu6", "selu",
    "sigmoid", "silu", "softplus", "tanh",
]  # fmt: skip


@config
class ActivationOptions:
    name: Name = setting("relu", help="which activation, as torch spells it")
    negative_slope: float | None = setting(
        None, ge=0, le=1, help="of leaky_relu (0.01 unless given) and prelu (0.25)"
    )


@CALCULATIONS.register(
    "activation",
    options=ActivationOptions,
    thing="name",
    example=EXAMPLE,
    paper="He, Zhang, Ren & Sun 2015, Delving deep into rectifiers; Glorot & Bengio 2010",
)
def activation(options: ActivationOptions) -> Worked:
    """Range, steepest slope and gain of an activation, and what it makes of a normal signal."""
    name, slope = options.name, negative_slope(options.name, options.negative_slope)
    known = activation_facts(name, slope)
    steep, where = steepest(name, slope)
    mean, square, _ = moments(name, 1.0, slope)
    working: list[Line] = []
    gain: float | None = None
    if known.gain is not None:
        letters = {"a": slope} if "a" in known.gain else {}
        worked = line("gain", known.gain, topic="gain", **letters)
        gain = float(plain(worked.value))
        working = [worked] if known.gain != "1" else []
    kept = keeping_gain(name, slope)
    spread = math.sqrt(max(0.0, square - mean * mean))
    facts: list[tuple[str, Phrase, Any]] = [
        ("formula", Phrase("formula"), known.formula),
        ("range", Phrase("range of its output"), _interval(known.range, known.closed)),
        ("at_zero", Phrase("at 0"), known.value(0.0)),
        ("steepest", Phrase("steepest slope"), steep),
        ("gain", Phrase("gain in torch (calculate_gain)"), gain),
        ("keeping_gain", Phrase("gain that keeps the mean square"), kept),
        ("mean", Phrase("mean, of a normal signal"), mean),
        ("spread", Phrase("standard deviation, of a normal signal"), spread),
    ]
    if steep > 1 + 1e-6:
        facts.insert(4, ("steepest_at", Phrase("where it is steepest, x ="), where))
    return Worked(
        facts=tuple(
            Fact(name=each, label=label, value=value, topic="gain") for each, label, value in facts
        ),
        working=tuple(working),
        notes=tuple(_notes(steep, gain, kept)),
    )


def negative_slope(name: str, given: float | None) -> float:
    """The slope below 0 that is meant where none is given."""
    return given if given is not None else 0.25 if name == "prelu" else 0.01


def _interval(ends: tuple[float, float], closed: tuple[bool, bool]) -> str:
    """
    >>> _interval((0.0, math.inf), (True, False)), _interval((-1.0, 1.0), (False, False))
    ('[0, inf)', '(-1, 1)')
    """
    return f"{'[' if closed[0] else '('}{ends[0]:.4g}, {ends[1]:.4g}{']' if closed[1] else ')'}"


def _notes(steep: float, gain: float | None, kept: float | None) -> list[Phrase]:
    notes = [
        Phrase(
            "Weights of standard deviation gain / sqrt(fan_in) before it keep the mean square of "
            "the signal at 1, if the gain is the one that does; what becomes of it over many "
            "layers: netwright calc signal."
        )
    ]
    if steep < 1:
        notes.append(
            Phrase(
                "No slope is above {steep:.3g}: each layer makes the gradient at least "
                "{times:.3g} times smaller, times the gain of the weights.",
                steep=steep,
                times=1 / steep,
            )
        )
    if gain is None:
        notes.append(Phrase("torch.nn.init.calculate_gain does not know this one."))
    if kept is None:
        notes.append(Phrase("Its outputs are too small for any gain to keep the mean square at 1."))
    return notes
