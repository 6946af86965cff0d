"""A record is written down and read back as it was."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from netwright.core.errors import DataError
from netwright.records.facts import FACTS, fact
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import GroupFact, OptimizerFact, Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


def full() -> Record:
    return Record(
        [
            Setup(
                model="Net",
                params=3,
                trainable=3,
                optimizers=(
                    OptimizerFact(kind="SGD", groups=(GroupFact(lr=0.1, params=1, numel=3),)),
                ),
            ),
            Steps(step=np.array([1.0, 2.0]), loss=np.array([2.3, math.nan]), total=2),
            Layers(names=("a", "b"), step=np.array([1.0]), zero_share=np.array([[0.5, math.inf]])),
            Fit(trials=(FitTrial(factor=1.0, steps=60, start=2.3, end=math.nan),), batch=8),
        ]
    )


def test_a_record_read_back_says_the_same(tmp_path: Path) -> None:
    full().save(tmp_path)
    again = Record.load(tmp_path)
    assert again.get(Setup) == full().get(Setup)
    steps, layers, fit = again.get(Steps), again.get(Layers), again.get(Fit)
    assert steps is not None
    assert layers is not None
    assert fit is not None
    np.testing.assert_array_equal(steps.loss, np.array([2.3, math.nan]))
    np.testing.assert_array_equal(layers.zero_share, np.array([[0.5, math.inf]]))
    assert layers.names == ("a", "b")
    assert math.isnan(fit.trials[0].end)


def test_a_kind_that_was_not_measured_is_none() -> None:
    assert full().get(Loop) is None
    assert Loop not in full()


def test_a_fact_replaces_one_of_its_kind() -> None:
    record = full().with_facts(Loop(steps=1)).with_facts(Loop(steps=2))
    assert len(record) == 5
    assert record.get(Loop) == Loop(steps=2)


def test_what_is_no_fact_is_refused() -> None:
    with pytest.raises(TypeError, match="str is no fact"):
        Record(["a"])


def test_two_kinds_of_facts_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="two kinds of facts are called loop"):
        fact("loop")(type("Other", (), {}))


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_kind_of_fact_is_a_frozen_dataclass(name: str) -> None:
    kind = FACTS[name]
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert (kind.__doc__ or "").strip()


def test_a_fact_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    full().save(tmp_path)
    path = tmp_path / "record.json"
    document = json.loads(path.read_text())
    document["facts"]["of-tomorrow"] = {"x": 1}
    path.write_text(json.dumps(document))
    assert len(Record.load(tmp_path)) == 4


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 9, "facts": {}}', '{"format": 1, "facts": {"steps": {"loss": 1}}}'],
)
def test_what_is_no_record_is_told_so(tmp_path: Path, text: str) -> None:
    full().save(tmp_path)
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(DataError, match=r"record\.json"):
        Record.load(tmp_path)


def test_arrays_that_hold_code_are_refused(tmp_path: Path) -> None:
    full().save(tmp_path)
    with open(tmp_path / "record.npz", "wb") as file:
        np.savez(file, a0=np.array([print], dtype=object))
    with pytest.raises(DataError, match="holds no record"):
        Record.load(tmp_path)
