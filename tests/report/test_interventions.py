"""What a page tells of a run that failed, was treated and went on."""

from __future__ import annotations

import json

import pytest

from netwright.core.languages import speaking
from netwright.records.interventions import intervention_in
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


def test_each_is_told_with_what_was_tried_and_what_came_of_it(run):
    told = body("interventions", run)
    for text in (
        "divergence", "heard at step 90, back to step 60", "The loss climbs",
        "<b>it held:</b> learning rate x 0.1",
        "tried for 12 steps: learning rate x 0.3: it broke",
        "tried for 12 steps: learning rate x 0.1: loss 0.25",
    ):  # fmt: skip
        assert text in told


def test_it_is_told_in_the_language_of_the_reader(run):
    with speaking("zh"):
        assert "第 90 步发现，退回第 60 步" in body("interventions", run)
        assert "学习率乘以 0.1" in body("interventions", run)


def test_every_curve_is_marked_where_the_run_went_on(run):
    drawn = body("curves", run)
    assert drawn.count(">R1</text>") == drawn.count("<svg")


def test_a_run_that_was_left_alone_has_neither_marks_nor_a_list(run):
    (run / "interventions.jsonl").unlink()
    page = render(Run(run))
    assert 'id="interventions"' not in page
    assert ">R1</text>" not in page


@pytest.mark.parametrize(
    "line",
    [{}, {"number": True}, {"number": 1, "step": 1, "seen": 2, "back_to": 0, "finding": 3},
     {"number": 1, "step": 1, "seen": 2, "back_to": 0, "finding": "x", "rate": float("inf")}],
)  # fmt: skip
def test_what_is_no_intervention_is_left_out(run, line):
    assert intervention_in(line) is None
    (run / "interventions.jsonl").write_text(json.dumps(line) + "\n")
    assert 'id="interventions"' not in render(Run(run))
