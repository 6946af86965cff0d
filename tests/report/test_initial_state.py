"""The picture of a start: from the record alone, inside its frame, in both languages."""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ET

import pytest

from netwright.core.languages import speaking
from netwright.records.initial_state import InitialState, Judgement, StageState, Values, Verdict
from netwright.report.initial_state import initial_state_chart, initial_state_picture, rows_of
from netwright.report.initial_words import told

SVG = "{http://www.w3.org/2000/svg}"


def stage(k: int, std: float = 1.0, gradient: float | None = 1.0, **more: object) -> StageState:
    values = Values(
        mean=0.0, std=std, zeros=0.5, low=-3 * std, high=3 * std, bars=(0.2, 0.5, 0.2, 0.1)
    )
    return dataclasses.replace(
        StageState(
            layer=f"layer{k}", operation="conv2d", call=0, norm="", activation="relu",
            shape=(8, 4), raw=values, signal=values, saturated=0.5, dead=0.0, seen=8,
            squashes=False, gradient=gradient, weight_gradient=1.0, alike=False,
            started_at_zero=False,
        ),
        **more,
    )  # fmt: skip


def state(*stages: StageState, judgements: tuple[Judgement, ...] = ()) -> InitialState:
    return InitialState(
        model="net", kind="Net", samples=8, loss="cross-entropy", stages=stages,
        judgements=judgements, forward_product=0.9, forward_gain=0.97,
        backward_product=1.1, backward_gain=1.02,
    )  # fmt: skip


FALLING = [stage(k, std=10.0**-k, gradient=10.0 ** (k - 10)) for k in range(10)]
JUDGED = [
    Judgement(verdict=verdict, layers=("a", "b", "c", "d"), value=0.7, direction=way, reach=9)
    for verdict, way in [
        ("shrinking", "forward"), ("shrinking", "backward"), ("growing", "forward"),
        ("growing", "backward"), ("saturated", ""), ("dead", ""), ("alike", ""), ("nonfinite", ""),
    ]
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "found",
    [
        state(*FALLING),
        state(*FALLING, judgements=tuple(JUDGED)),
        state(stage(0)),
        state(stage(0, std=0.0, gradient=0.0), stage(1, std=math.nan, gradient=math.inf)),
        state(stage(0, gradient=None)),
        state(*(stage(k) for k in range(156))),
        state(stage(0, layer="a <b> & c" * 20)),
    ],
)
def test_the_picture_is_whole_and_nothing_leaves_it(found: InitialState, language: str) -> None:
    with speaking(language):
        for svg in (str(initial_state_picture(found)), initial_state_chart(found)):
            picture = ET.fromstring(svg)
            *_, width, height = (float(each) for each in picture.get("viewBox", "").split())
            for each in picture.iter():
                for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                    assert 0 <= float(each.get(name, 0)) <= most
            assert "nan" not in "".join(each.get("d", "") for each in picture.iter())


def test_a_deep_network_is_thinned_and_its_faults_stay() -> None:
    fault: Verdict = "dead"
    stages = [stage(k, verdict=fault if k == 77 else "steady") for k in range(156)]
    shown = [each.layer for each in rows_of(state(*stages))]
    assert len(shown) <= 41
    assert {"layer0", "layer77", "layer155"} <= set(shown)


def test_the_verdict_says_its_numbers() -> None:
    assert told(state(stage(0))) == [
        "Steady: forward the signal ends at 0.90 of what it began with (0.970 times a layer), "
        "backward the gradient at 1.1 (1.02 times a layer)."
    ]
    (sentence,) = told(state(stage(0), judgements=(JUDGED[4],)))
    assert sentence.startswith("Saturated: up to 70\u202f% of the values of a, b, c and 1 more")


def test_each_judgement_is_a_sentence_of_its_own_in_both_languages() -> None:
    for language in ("en", "zh"):
        with speaking(language):
            sentences = told(state(stage(0), judgements=tuple(JUDGED)))
        assert len(set(sentences)) == len(JUDGED)
