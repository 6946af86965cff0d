"""The line that tells what a step took."""

from __future__ import annotations

from typing import Any

import pytest

from netwright.core.languages import speaking
from netwright.report.step_line import step_line

FACTS: dict[str, Any] = {
    "seconds": 0.0123,
    "data_wait_share": 0.03,
    "steps": 400,
    "roofline_share": 0.612,
    "waits_for": "memory",
    "machine_measured": True,
    "others_share": 0.0,
}


def test_times_wait_and_roofline() -> None:
    assert step_line({"step_times": FACTS}) == (
        "12.3 ms (data wait 369 us, 3 %), 61 % of the roofline of this machine (waits for memory)"
    )


def test_a_machine_that_is_not_measured_is_said_to_be_so() -> None:
    line = step_line({"step_times": {**FACTS, "roofline_share": None, "machine_measured": False}})
    assert "not measured yet (netwright inspect MODEL --time)" in line
    assert "%" not in line.partition("), ")[2]


def test_a_share_that_could_not_be_found_blames_no_machine() -> None:
    line = step_line({"step_times": {**FACTS, "roofline_share": None}})
    assert line.endswith("share of the roofline not known")


def test_a_busy_machine_is_said_beside_the_times() -> None:
    line = step_line({"step_times": {**FACTS, "others_share": 0.44}})
    assert line.endswith(
        "; other processes took 44 % of the processors meanwhile, so these times say little"
    )


@pytest.mark.parametrize(
    "facts", [None, 3, {}, {"seconds": 0}, {"seconds": "x", "data_wait_share": 0.1}, {"seconds": 1}]
)
def test_a_run_that_says_nothing_of_steps_has_no_line(facts: Any) -> None:
    assert step_line({"step_times": facts}) == ""
    assert step_line({}) == ""


def test_in_chinese() -> None:
    with speaking("zh"):
        line = step_line({"step_times": {**FACTS, "others_share": 0.5}})
    assert "等待数据 369 us" in line
    assert "受限于内存" in line
    assert "times" not in line
