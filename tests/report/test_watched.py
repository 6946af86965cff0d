"""What a page tells of a training that the doctor watched."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from netwright.core.languages import speaking
from netwright.records.facts.layers import Layers
from netwright.records.facts.setup import GroupFact, OptimizerFact, Setup
from netwright.records.record import Record
from netwright.records.run import Run
from netwright.report.layer_heat import Pin, Scale, layer_heat, scale_of
from netwright.report.material import Material
from netwright.report.page import render
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS
from netwright.report.sections.layer_time import _maps


def section(name, folder):
    return SECTIONS.get(name).target(Material(Run(folder)), Allowance(100_000))


@pytest.fixture
def run(make_run, tmp_path):
    return make_run(tmp_path / "run")


def test_a_finding_is_told_with_its_numbers_its_cause_and_its_cure(run):
    body = section("findings", run).body
    for text in (
        "vanishing-gradients", "Almost nothing reaches features.0", "rate: 1e-05, against 0.01",
        "Each layer lets a tenth through.", "Normalise.", "nn.BatchNorm2d(6)", "step 41",
        "It would be wrong if: the first layer moves as fast as the last.",
    ):  # fmt: skip
        assert text in body


def test_it_is_told_in_the_language_of_the_reader(run):
    with speaking("zh"):
        assert "判断有误的情况：" in section("findings", run).body
        assert section("layer-time", run).title == "各层随时间的变化"


def test_a_watch_that_found_nothing_says_so(run):
    (run / "findings.jsonl").write_text("")
    assert section("findings", run).lead == "The doctor watched this training and found nothing."


def test_a_run_that_nobody_watched_has_neither_section(run):
    (run / "record.json").unlink()
    assert section("findings", run) is None
    assert section("layer-time", run) is None


def test_each_signal_is_one_map_with_the_finding_on_it(run):
    body = section("layer-time", run).body
    assert body.count("<svg") == 3
    assert body.count('class="marked"') == 3
    assert body.count('class="framed"') == 3  # the layer that the finding is about
    for drawn in re.findall(r"<svg.*?</svg>", body):
        ElementTree.fromstring(drawn)


def test_a_scale_runs_over_whole_powers_of_ten():
    values = np.array([[2e-4, 0.3], [np.nan, 0.0]])
    scale = scale_of(values)
    assert (scale.low, scale.high, scale.log) == (1e-4, 1.0, True)
    placed = scale.places(values)
    assert placed[0, 1] == pytest.approx((np.log10(0.3) + 4) / 4)
    assert placed[1, 1] == 0  # nothing at all is the lowest colour
    assert np.isnan(placed[1, 0])  # what was not measured has none
    assert scale_of(np.full((2, 2), np.nan)) is None


def test_a_map_of_one_layer_and_many_looks_is_drawn():
    drawn = layer_heat(
        np.linspace(0, 1, 240).reshape(-1, 1), ["fc"], list(range(1, 241)),
        Scale(low=0, high=1, log=False), title="t", about="a",
        pins=[Pin(step=1000.0, names=("late",), tip="STOP late")],
    )  # fmt: skip
    root = ElementTree.fromstring(drawn)
    assert next(each.text for each in root.iter("text")) == "fc"


def labels_of(pins):
    drawn = layer_heat(
        np.ones((20, 2)), ["0 (Linear)", "head"], list(range(20)),
        Scale(low=0, high=1, log=False), title="t", about="a", pins=pins,
    )  # fmt: skip
    found = ElementTree.fromstring(drawn).iter("text")
    return [each.text for each in found if "label" in each.get("class", "") or each.text == "▾"]


def test_findings_of_one_step_share_a_label_and_those_without_room_have_a_mark():
    assert labels_of([
        Pin(step=1.0, names=("dead-relu", "divergence"), tip=""),
        Pin(step=2.0, names=("nonfinite",), tip=""),  # its line ends under letters
        Pin(step=4.0, names=("nonfinite",), tip=""),
        Pin(step=16.0, names=("loss-spike",), tip=""),
    ]) == ["dead-relu, divergence", "▾", "loss-spike"]  # fmt: skip


def test_of_very_many_findings_of_one_step_those_that_fit_are_named():
    (label,) = labels_of([Pin(step=0.0, names=("softmax-before-cross-entropy",) * 12, tip="")])
    assert re.fullmatch(r"(softmax-before-cross-entropy(, )?)+ \+\d+", label)


def test_a_norm_whose_output_nobody_saw_has_its_row_behind_the_layer_before_it(tmp_path):
    seen = np.array([[1.0, 1.0, np.nan], [1.0, 1.0, np.nan]])
    layers = Layers(
        names=("0", "2", "1"), kinds=("conv2d", "linear", ""), step=np.array([1.0, 2.0]),
        activation_rms=seen, update_ratio=np.full((2, 3), 0.1),
    )  # fmt: skip
    names = ("0.weight", "1.weight", "2.weight")
    optimizer = OptimizerFact(kind="SGD", groups=(GroupFact(lr=1, params=3, numel=3, names=names),))
    setup = Setup(model="Sequential", params=3, trainable=3, optimizers=(optimizer,))
    drawn = _maps(Record([layers, setup]), [])
    rows = [each.text for each in ElementTree.fromstring(drawn).iter("text")]
    assert rows[:3] == ["0 (conv2d)", "1", "2 (linear)"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda run: (run / "record.json").write_text("{"),
        lambda run: (run / "record.npz").write_bytes(b"no"),
        lambda run: (run / "findings.jsonl").write_text('[1]\n{"severity": "stop"}\nnull\n{'),
        lambda run: (run / "findings.jsonl").write_text(
            json.dumps({"severity": "stop", "name": "<b>", "evidence": 3, "layers": {"a": 1},
                        "message": {"template": "{x.__class__}", "values": 7}}) + "\n"
        ),
        lambda run: Record([Layers(names=("a",), step=np.arange(3.0),
                                   gradient_rms=np.zeros((2, 2)))]).save(run),
        lambda run: Record([Layers(names=("a",), kinds=("x",), step=np.arange(3.0),
                                   gradient_rms=np.full((3, 1), np.inf))]).save(run),
    ],
)  # fmt: skip
def test_a_damaged_record_leaves_the_rest_of_the_page(run, harm):
    harm(run)
    page = render(Run(run))
    assert 'id="curves"' in page


def test_a_name_from_a_file_is_text_and_no_markup(run):
    line = {"severity": "stop", "name": "<script>", "what": "<i>x</i>"}
    (run / "findings.jsonl").write_text(json.dumps(line) + "\n")
    assert "<script>" not in render(Run(run))
    assert "&lt;i&gt;x" in render(Run(run))
