"""Golden loss curves: a refactoring must not move a number.

Where the environment line is the recorded one the curve is compared bit for bit; elsewhere
(another processor, another torch) to what float arithmetic can promise. After a change that is
meant to move numbers:  python tests/tasks/test_golden_curves.py
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest

import netwright as nw
from netwright.core.events import StepEnded
from netwright.train.environment import environment_line

GOLDEN = Path(__file__).with_name("golden_curves.json")

RUNS = {
    "mlp, adamw": {"model": "mlp", "model__hidden": [32]},
    "resnet20, momentum, shift, average": {
        "model": "resnet20", "optim": "sgd", "optim__lr": 0.1, "optim__momentum": 0.9,
        "aug__shift": 1, "run__ema": 0.9, "loss__smoothing": 0.1,
    },
}  # fmt: skip

# What decides the bits of these runs; the hash of our own code does not, that is the point.
DECISIVE = ("torch", "processor", "cpu_capability", "threads")


def decisive():
    """What decides the bits here: the environment line, and which processor it is exactly."""
    line = environment_line()
    facts = {key: str(line[key]) for key in DECISIVE}
    wanted = ("cpu family", "model", "stepping", "cache size", "flags")
    for each in Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines():
        name, _, value = each.partition(":")
        if name.strip() in wanted:
            facts[name.strip()] = hashlib.sha256(value.strip().encode()).hexdigest()[:8]
    return facts


def curve(settings, folder):
    losses = []

    def listen(event):
        if isinstance(event, StepEnded):
            losses.append(float(event.values["loss"]))

    nw.train("digits", steps=12, seed=2, run_dir=folder, listeners=[listen], **settings)
    return losses


@pytest.mark.parametrize("name", RUNS)
def test_a_curve_is_the_recorded_one(name, tmp_path):
    golden = json.loads(GOLDEN.read_text())
    found = curve(RUNS[name], tmp_path / "run")
    if decisive() == golden["environment"]:
        assert found == golden["curves"][name]
    else:
        assert found == pytest.approx(golden["curves"][name], rel=2e-3)


def record() -> None:
    with tempfile.TemporaryDirectory() as place:
        curves = {name: curve(RUNS[name], Path(place) / name[:3]) for name in RUNS}
    content = {"environment": decisive(), "curves": curves}
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    record()
