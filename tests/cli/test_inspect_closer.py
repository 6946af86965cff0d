"""`netwright inspect`: the start layer by layer, options that go together, words in Chinese."""

from __future__ import annotations

import pytest
from torch import nn

import netwright as nw
from netwright.cli import main
from netwright.inspection import calibration, timing
from netwright.records.timing import OVERHEADS, RATES, Machine, Rate
from netwright.report.initial_table import initial_table
from netwright.report.inspection_notes import notes


def test_the_start_is_shown_layer_by_layer(capsys):
    assert main(["inspect", "lenet5", "--initial", "noise"]) == 0
    out = capsys.readouterr().out
    assert "gradient" in out
    table = out[out.index("mean") :]
    for layer in ("c1", "c3", "c5", "f6", "output"):
        assert f"\n{layer} " in table
    assert "Steady" in table


@pytest.mark.parametrize("cells", [30, 40, 80])
def test_the_table_of_the_start_fits_the_screen(cells):
    state = nw.inspect("lenet5").initial_state()
    lines = initial_table(state, cells=cells)
    assert len(lines) == 1 + len(state.stages)
    assert max(map(len, lines)) <= cells


@pytest.mark.parametrize("option", [["--layer", "c3"], ["--unit", "1,1"], ["--image", "a.png"]])
def test_an_option_of_the_picture_without_one_is_refused(option, capsys):
    assert main(["inspect", "lenet5", *option]) == 2
    assert f"{option[0]} is for a picture" in capsys.readouterr().err


def test_what_the_pass_says_of_itself_is_a_template():
    info = nw.inspect(nn.DataParallel(nn.Sequential(nn.LazyLinear(4))), (3,))
    said = [phrase for _, phrase in notes(info.record)]
    templates = {each.template for each in said}
    assert "The network inside of {kind} was inspected." in templates
    assert "Lazy layers were given their shapes on a copy." in templates
    assert "The network inside of DataParallel was inspected." in map(str, said)


def test_that_the_machine_is_measured_is_said_the_first_time(monkeypatch, capsys):
    machine = Machine(
        processor="one", device="cpu", threads=1, torch="2",
        rates=dict.fromkeys(RATES, Rate(points=((1.0, 1e9),))),
        overheads=dict.fromkeys(OVERHEADS, 1e-6),
    )  # fmt: skip
    monkeypatch.setattr(calibration, "is_measured", lambda: False)
    monkeypatch.setattr(timing, "machine_at_hand", lambda device: machine)
    assert main(["inspect", "lenet5", "--time"]) == 0
    first = capsys.readouterr()
    assert "Measuring what this machine can do" in first.err
    assert "Measuring" not in first.out
    assert main(["inspect", "lenet5", "--time", "--quiet"]) == 0
    assert "Measuring" not in capsys.readouterr().err
    monkeypatch.setattr(calibration, "is_measured", lambda: True)
    assert main(["inspect", "lenet5", "--time"]) == 0
    assert "Measuring" not in capsys.readouterr().err
