"""What the facts of a start amount to: the gains between stages, and the judgement on them.

A stage that starts at zero, and the last one (the head, often small on purpose), are left out of
the products. So is the step from the data to the first stage: that is a matter of the input.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

from netwright.records.initial_state import (
    LEAST_DRIFT,
    LEAST_PRODUCT,
    LEAST_SEEN,
    MOST_DRIFT,
    MOST_FLAT,
    MOST_PRODUCT,
    InitialState,
    Judgement,
    StageState,
    Verdict,
)

_GRAVEST_FIRST: tuple[Verdict, ...] = (
    "nonfinite", "growing", "shrinking", "dead", "saturated", "alike",
)  # fmt: skip


def judged(stages: Sequence[StageState], *, excused: bool, **facts: Any) -> InitialState:
    """The stages with gains and verdicts, and the judgements, the gravest first.

    `excused`: a weight that starts at zero learns in the first step, so that layers without a
    gradient wait and are not dead. `facts` are the other fields of the record.
    """
    hidden = [i for i, each in enumerate(stages) if not _is_head(i, stages)]
    forward = [i for i in hidden if not stages[i].started_at_zero]
    gains_on = _gains([stages[i].signal.std for i in forward])
    flowing = [i for i in hidden if stages[i].gradient not in (None, 0.0)]
    gains_back = _gains([stages[i].gradient or 0.0 for i in reversed(flowing)])
    verdicts: list[set[Verdict]] = [_of_stage(each, excused) for each in stages]
    judgements: list[Judgement] = []
    ways: tuple[tuple[Literal["forward", "backward"], list[int], list[float]], ...] = (
        ("forward", forward, gains_on),
        ("backward", flowing[::-1], gains_back),
    )
    for direction, order, gains in ways:
        judgement = _left_bounds(direction, stages, order, gains, verdicts)
        if judgement is not None:
            judgements.append(judgement)
    judgements += _shares(stages, verdicts)
    judgements.sort(key=lambda each: _GRAVEST_FIRST.index(each.verdict))
    on = dict(zip(forward[1:], gains_on, strict=True))
    back = dict(zip(flowing[::-1][1:], gains_back, strict=True))
    return InitialState(
        stages=tuple(
            dataclasses.replace(
                each,
                forward=on.get(i),
                backward=back.get(i),
                verdict=next((v for v in (*_GRAVEST_FIRST, "waits") if v in verdicts[i]), "steady"),
            )
            for i, each in enumerate(stages)
        ),
        judgements=tuple(judgements),
        forward_product=_product(gains_on),
        forward_gain=_mean(gains_on),
        backward_product=_product(gains_back),
        backward_gain=_mean(gains_back),
        **facts,
    )


def _is_head(index: int, stages: Sequence[StageState]) -> bool:
    return index == len(stages) - 1 and not stages[index].activation


def _gains(sizes: Sequence[float]) -> list[float]:
    """Each size by the one before; from nothing comes nothing, and that is a gain of 1.

    >>> _gains([2.0, 1.0, 0.0, 0.0])
    [0.5, 0.0, 1.0]
    """
    pairs = itertools.pairwise(sizes)
    return [(now / before if before else 1.0 if not now else math.inf) for before, now in pairs]


def _product(gains: Sequence[float]) -> float | None:
    return math.prod(gains) if gains else None


def _mean(gains: Sequence[float]) -> float | None:
    product = _product(gains)
    return None if product is None else product ** (1 / len(gains))


def _of_stage(stage: StageState, excused: bool) -> set[Verdict]:
    found: set[Verdict] = set()
    numbers = (stage.raw.std, stage.signal.std, stage.gradient, stage.weight_gradient)
    if not all(math.isfinite(each) for each in numbers if each is not None):
        return {"nonfinite"}
    if stage.squashes and (stage.saturated or 0) > MOST_FLAT:
        found.add("saturated")
    if (stage.dead or 0) > MOST_FLAT and stage.seen >= LEAST_SEEN:
        found.add("dead")
    if stage.alike:
        found.add("alike")
    if stage.weight_gradient == 0.0:
        found.add("waits" if excused else "dead")
    return found


def _left_bounds(
    direction: Literal["forward", "backward"],
    stages: Sequence[StageState],
    order: list[int],
    gains: list[float],
    verdicts: list[set[Verdict]],
) -> Judgement | None:
    """The judgement on a product that ends outside the bounds; the stages from where it is out."""
    product = _product(gains)
    if not product or LEAST_PRODUCT <= product <= MOST_PRODUCT or not math.isfinite(product):
        return None  # exactly 0, or something after it, is not weak but dead, and told as such
    mean = product ** (1 / len(gains))
    if LEAST_DRIFT <= mean <= MOST_DRIFT and LEAST_PRODUCT**2 <= product <= MOST_PRODUCT**2:
        return None
    verdict: Verdict = "growing" if product > MOST_PRODUCT else "shrinking"
    out: list[str] = []
    running = 1.0
    for index, gain in zip(order[1:], gains, strict=True):
        running *= gain
        beyond = running > MOST_PRODUCT if verdict == "growing" else running < LEAST_PRODUCT
        if beyond:
            verdicts[index].add(verdict)
            out.append(stages[index].layer)
    return Judgement(
        verdict=verdict, layers=tuple(out), value=product, direction=direction, reach=len(gains)
    )


def _shares(stages: Sequence[StageState], verdicts: Sequence[set[Verdict]]) -> list[Judgement]:
    def with_verdict(verdict: Verdict) -> list[StageState]:
        return [s for s, found in zip(stages, verdicts, strict=True) if verdict in found]

    judgements = []
    worst: tuple[Verdict, ...] = ("nonfinite", "dead", "saturated", "alike")
    for verdict in worst:
        found = with_verdict(verdict)
        if not found:
            continue
        if verdict == "saturated":
            value = max(each.saturated or 0.0 for each in found)
        elif verdict == "dead":
            value = max(each.dead or 0.0 for each in found)
            value = value if value > MOST_FLAT else 0.0  # then it is the gradient that is missing
        else:
            value = float(len(found))
        names = tuple(dict.fromkeys(each.layer for each in found))
        judgements.append(Judgement(verdict=verdict, layers=names, value=value))
    return judgements
