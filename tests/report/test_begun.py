"""What a page tells of the weights a run began with, and of what was frozen when."""

from __future__ import annotations

import json

import pytest

from netwright.core.languages import speaking
from netwright.records.run import Run
from netwright.report.material import Material
from netwright.report.page import render
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS


@pytest.fixture
def run(make_run, tmp_path):
    return make_run(tmp_path / "run")


def body(name, folder):
    return SECTIONS.get(name).target(Material(Run(folder)), Allowance(100_000)).body


def with_transfer(run, **changes):
    facts = json.loads((run / "model.json").read_text())
    facts["transfer"].update(changes)
    (run / "model.json").write_text(json.dumps(facts))
    return run


def steps_of(run):
    return [row.rpartition(">")[2] for row in body("begun", run).split("</td></tr>")[:-1]]


def test_what_was_loaded_is_told_in_the_language_of_the_reader(run):
    assert "tensors loaded: 8, from /weights/first.pth" in body("begun", run)
    with speaking("zh"):
        told = body("begun", run)
    assert "载入的张量：8 个" in told
    assert "从第几步起训练" in told


def test_a_stage_is_trained_from_the_step_in_which_it_was_unfrozen(run):
    assert steps_of(run) == ["160", "80"]
    assert steps_of(with_transfer(run, gradual=False)) == ["80", "80"]
    assert steps_of(with_transfer(run, freeze_steps=0)) == ["0", "0"]
    assert steps_of(with_transfer(run, freeze_steps=None)) == ["never", "never"]
    assert "× 0.64" in body("begun", run)


def test_every_curve_is_marked_where_something_was_unfrozen(run):
    drawn = body("curves", run)
    assert drawn.count(">unfrozen</text>") == drawn.count("<svg")


@pytest.mark.parametrize("steps", [None, 0, 10**6, "many"])
def test_nothing_is_marked_where_nothing_was_unfrozen_within_the_run(run, steps):
    assert "unfrozen" not in body("curves", with_transfer(run, freeze_steps=steps))


def test_a_run_that_began_at_random_tells_nothing_of_it(run):
    facts = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**facts, "begun": [], "transfer": None}))
    page = render(Run(run))
    assert 'id="begun"' not in page
    assert "unfrozen" not in page


@pytest.mark.parametrize("strange", [3, "x", [1], [{"name": 7}], {"a": 1}, [None]])
def test_strange_facts_break_nothing(run, strange):
    with_transfer(run, stages=strange, freeze_steps=strange)
    facts = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**facts, "begun": strange}))
    assert "<html" in render(Run(run))


def test_a_count_is_told_as_a_whole_number(run):
    facts = json.loads((run / "model.json").read_text())
    told = {"word": "NOTE", "template": "{params:,} of {all:,}", "values": {"params": 1210}}
    told["values"]["all"] = 51_902
    (run / "model.json").write_text(json.dumps({**facts, "begun": [told]}))
    assert "1,210 of 51,902<" in body("begun", run)
