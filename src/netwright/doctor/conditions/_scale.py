"""Signals that grow or shrink through the layers at the start: what the two conditions share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._start import harm_of_start, judgement
from netwright.records.facts.objective import Objective
from netwright.records.facts.start import WeightScales
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.initial_state import LEAST_PRODUCT, MOST_PRODUCT, InitialState
from netwright.records.record import Record

LARGE = 8.0
"""A gain of weights that no initialiser of torch gives: He's is 1.41, orthogonal's 1, torch's own
0.58. Measured over the healthy runs of tests/doctor/rates: 0.5 to 1.1."""

STATE = 3.0
"""The same of weights that a state meets at every step: 0.58 by torch, 1 where orthogonal."""

SMALL = 0.05

HE = 2**0.5

HUGE = 1e6
"""An eigenvalue beyond which its powers need not be computed."""

ROUGH = 100.0
"""Product of the gains of all layers over He's 1.41: at three times He a hundred in four layers."""

OFF = 10.0
"""How many times the loss of guessing the first loss is when large weights show."""


@dataclass(frozen=True)
class Scale:
    evidence: tuple[Evidence, ...]
    layers: tuple[str, ...]
    product: float | None


def growing(record: Record) -> Scale | None:
    found = _product(record, large=True) or _recurrence(record)
    if found is not None:
        return found
    bare = _bare(record)
    layers = [each for each in bare if each[1] > LARGE]
    objective = record.get(Objective)
    if objective is None or objective.first_loss is None or not objective.constant:
        return None
    if objective.first_loss < OFF * objective.constant:
        return None
    if not layers:
        return _rough(bare, objective.first_loss, objective.constant)
    worst = max(layers, key=lambda each: each[1])
    return Scale(
        (
            _gain(worst, LARGE),
            _off(objective.first_loss, objective.constant),
        ),
        tuple(name for name, _ in layers),
        None,
    )


def _recurrence(record: Record) -> Scale | None:
    """A state that one and the same matrix makes larger at each step of a sequence; or gates that
    weights of such a size hold open or shut."""
    scales = record.get(WeightScales)
    for each in scales.recurrences if scales is not None else ():
        if each.radius is None:
            if each.gain > STATE:
                return Scale((_gain((each.layer, each.gain), STATE),), (each.layer,), None)
            continue
        product = each.radius**each.steps if each.radius < HUGE else math.inf
        if product > MOST_PRODUCT:
            evidence = Evidence(
                signal=Phrase(
                    "largest eigenvalue of the recurrent weights, over {steps} steps",
                    steps=each.steps,
                ),
                value=each.radius,
                baseline=1.0,
                threshold=MOST_PRODUCT ** (1 / each.steps),
                layer=each.layer,
            )
            return Scale((evidence,), (each.layer,), product)
    return None


def _rough(bare: list[tuple[str, float]], first: float, constant: float) -> Scale | None:
    """Each layer a few times He's size: together they are what the first loss shows."""
    if len(bare) < 2:
        return None
    product = math.prod(gain / HE for _, gain in bare)
    large = tuple(name for name, gain in bare if gain > 2 * HE)
    if product < ROUGH or len(large) < 2:
        return None
    return Scale(
        (
            Evidence(
                signal=Phrase("product of the gains of {count} layers, each over He's",
                              count=len(bare)),
                value=product,
                baseline=1.0,
                threshold=ROUGH,
                layer=large[0],
            ),
            _off(first, constant),
        ),
        large,
        product,
    )  # fmt: skip


def shrinking(record: Record) -> Scale | None:
    found = _product(record, large=False)
    if found is not None:
        return None if _by_activation(record, found) else found
    layers = [each for each in _bare(record, hidden=True) if 0 < each[1] < SMALL]
    if not layers:
        return None
    return Scale(
        (_gain(min(layers, key=lambda each: each[1]), SMALL),),
        tuple(name for name, _ in layers),
        None,
    )


def _off(first: float, constant: float) -> Evidence:
    return Evidence(
        signal=Phrase("first loss, against that of guessing"),
        value=first,
        baseline=constant,
        threshold=OFF * constant,
    )


def _product(record: Record, *, large: bool) -> Scale | None:
    found = judgement(record, "growing" if large else "shrinking")
    if found is None:
        return None
    bound = MOST_PRODUCT if large else LEAST_PRODUCT
    signal = (
        Phrase("product of the forward gains of {count} layers", count=found.reach)
        if found.direction == "forward"
        else Phrase("product of the backward gains of {count} layers", count=found.reach)
    )
    return Scale(
        (
            Evidence(
                signal=signal,
                value=found.value,
                baseline=1.0,
                threshold=bound,
                layer=found.layers[0] if found.layers else "",
            ),
        ),
        found.layers,
        found.value,
    )


def _by_activation(record: Record, found: Scale) -> bool:
    """Whether the product would be as bad with weights of Xavier's size: what fades then fades in
    the activations. A sigmoid passes a quarter of a gradient on at best."""
    state = record.get(InitialState)
    gains = dict(_bare(record))
    if state is None or found.product is None:
        return False
    stages = [each for each in state.stages if each.layer in gains and each.call == 0]
    squashed = [each for each in stages if each.squashes]
    if len(squashed) < 0.5 * len(stages):
        return False
    missing = math.prod(max(1.0, 1 / gains[each.layer]) for each in squashed if gains[each.layer])
    return found.product * missing < LEAST_PRODUCT


def _bare(record: Record, *, hidden: bool = False) -> list[tuple[str, float]]:
    """Layers whose scale no norm takes out, with the gain of their weights."""
    scales = record.get(WeightScales)
    if scales is None:
        return []
    return [
        (each.layer, each.gain)
        for each in scales.layers
        if not each.normed and each.held and not (hidden and each.head)
    ]


def _gain(layer: tuple[str, float], bound: float) -> Evidence:
    return Evidence(
        signal=Phrase("gain of the weights of {layer}: their size x root of the fan-in",
                      layer=layer[0]),
        value=layer[1],
        baseline=1.41,
        threshold=bound,
        unit="times",
        layer=layer[0],
    )  # fmt: skip


def finding(
    record: Record, name: str, found: Scale, what: Phrase, cause: Phrase
) -> Iterator[Finding]:
    harm = harm_of_start(record)
    yield Finding(
        name=name,
        severity="warn" if harm else "note",
        layers=found.layers,
        what=what,
        evidence=(*found.evidence, *harm),
        formula="product over the layers of std(out) / std(in), within [1e-3, 1e3]",
        cause=cause,
        wrong_if=Phrase("the run learns from the first steps on as it does with He's initialiser"),
        not_to_be_confused_with=Phrase(
            "inputs that are not scaled: here the signal changes from layer to layer"
        ),
        treatments=(
            Treatment(
                name="matched-initialiser",
                grade="safe",
                why=Phrase("Initialise for the activation: He for ReLU, Xavier for tanh; or LSUV."),
                code="nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')",
            ),
            Treatment(
                name="norm-or-residual",
                grade="ask",
                why=Phrase("Batch normalisation, or residual connections round the layers."),
            ),
        ),
    )


def names(layers: tuple[str, ...]) -> str:
    return str(listed(list(layers[:3])))
