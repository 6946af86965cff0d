"""The lines of the table: nothing is lost at any depth, small layers join, paths stay readable."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from netwright.core.cells import width
from netwright.core.errors import SettingError
from netwright.records.inspection import AxisField
from netwright.report.inspection_notes import notes
from netwright.report.layer_lines import compact, fitting_depth, lines
from netwright.report.layer_table import cost_lines, layer_table
from netwright.report.text_table import Column, aligned
from netwright.report.torch_summary import torch_summary

_spec = importlib.util.spec_from_file_location(
    "inspections", Path(__file__).with_name("inspections.py")
)
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 9, None])
@pytest.mark.parametrize("unused", [0, 77])
def test_the_lines_of_any_depth_add_up_to_the_totals(depth, unused):
    record = made.residual(unused=unused)
    found = lines(record, depth)
    assert sum(each.params for each in found) == record.params
    assert sum(each.macs for each in found) == record.macs
    assert sum(each.other_ops for each in found) == record.other_ops
    assert sum(each.activation_bytes for each in found) == record.layers[0].activation_bytes


def test_what_a_container_computes_itself_is_a_line():
    labels = [each.label for each in lines(made.residual(), 3)]
    assert labels == ["stem", "act", "block.0.conv", "block.0: add relu", "block.1.conv",
                      "block.1: add relu", "pool", "fc"]  # fmt: skip


def test_an_activation_joins_what_it_follows_and_a_global_pooling_the_head():
    labels = [each.label for each in compact(made.residual(), 1)]
    assert labels == ["stem act", "block", "pool fc"]
    deeper = [each.label for each in compact(made.residual(), 3)]
    assert deeper == ["stem act", "block.0.conv +add relu", "block.1.conv +add relu", "pool fc"]


def test_a_depth_is_chosen_that_says_something():
    record = made.residual()
    assert fitting_depth(record) == 3  # nowhere six lines: the deepest
    assert len(lines(record)) == 4


def test_parameters_that_no_layer_ran_with_have_a_line():
    last = lines(made.residual(unused=77), 1)[-1]
    assert (last.label, last.params, last.macs) == ("(aux)", 77, 0)


def test_the_table_says_what_stands_where():
    head, *rows = layer_table(made.residual(), 1)
    assert head.split() == ["layer", "output", "params", "MACs", "act", "MB", "RF", "stride"]
    assert rows[0].split() == ["stem", "8x32x32", "216", "0.2", "M", "0.03", "3", "1"]
    assert rows[-1].split() == ["total", "10", "1,458", "1.401", "M", "0.26"]
    assert rows[-2] == "-" * len(rows[-2])


@pytest.mark.parametrize("cells", [40, 52, 60, 80])
def test_a_narrow_screen_is_never_overrun(cells):
    record = made.residual(stem="a_very_long_name_of_the_first_layer_of_all")
    assert max(width(each) for each in layer_table(record, 3, cells=cells)) <= cells


def test_wide_characters_are_aligned(monkeypatch):
    monkeypatch.setenv("NETWRIGHT_LANG", "zh")
    head, first, *_ = layer_table(made.residual(), 1)
    assert "参数量" in head
    assert width(head[: head.index("参数量") + 3]) == width(first[: first.index("216") + 3])


def test_columns_of_the_same_rank_leave_together():
    ranks = {"a": 0, "b" * 20: 2, "c" * 20: 2, "d": 0}
    columns = [Column(head=head, cells=["1"], rank=rank) for head, rank in ranks.items()]
    assert aligned(columns, cells=30)[0].split() == ["a", "d"]


def test_the_convention_stands_on_the_line_of_the_flops():
    first = cost_lines(made.residual())[0]
    assert first.startswith("FLOPs  2.802 M = 2 x 1.401 M multiply-adds of contractions")


def test_an_operation_without_a_rule_is_named_and_its_line_is_a_lower_bound():
    record = made.residual()
    strange = dataclasses.replace(record.operations[3], name="my_kernel", ruled=False)
    record = dataclasses.replace(
        record, operations=(*record.operations[:3], strange, *record.operations[4:])
    )
    told = [str(phrase) for word, phrase in notes(record) if word == "WARN"]
    assert told == ["there is no rule for my_kernel (1x): what they cost is not known, and not in "
                    "the totals"]  # fmt: skip
    assert any(">=0" in row for row in layer_table(record, 3))


def test_tied_unused_and_frozen_parameters_are_told():
    record = made.residual(unused=5)
    first, second, *rest = record.parameters
    record = dataclasses.replace(
        record,
        parameters=(
            dataclasses.replace(first, paths=("stem.weight", "copy.weight")),
            dataclasses.replace(second, trainable=False),
            *rest,
        ),
    )
    told = [str(phrase) for _, phrase in notes(record, counted=record.params)]
    assert told == [
        "parameter total equals sum(p.numel()): 1,463",
        "one tensor, counted once: stem.weight = copy.weight (216 values)",
        "no operation of this pass reads aux (5 parameters): unused, or for another mode",
        "576 of 1,463 parameters are frozen: block.0.conv",
    ]


def test_a_field_that_varies_is_told_where_it_begins():
    record = made.residual()
    field = AxisField(sight="varies", size=9, stride=1.5, padding=2, why="resized by 1.5")
    varied = dataclasses.replace(record.layers[7], fields=(field, field))
    layers = (*record.layers[:7], varied, *record.layers[8:])
    record = dataclasses.replace(record, layers=layers)
    (told,) = [str(phrase) for _, phrase in notes(record)]
    assert told == (
        "from block.1.conv on the receptive field varies with the position: resized by 1.5"
    )
    assert any("<=9" in row for row in layer_table(record, 3))


def test_the_summary_has_the_lines_people_know():
    text = torch_summary(made.residual(), depth=2)
    rows = text.splitlines()
    assert rows[1].split() == ["Layer", "(type:depth-idx)", "Output", "Shape", "Param", "#",
                               "Mult-Adds"]  # fmt: skip
    assert rows[3].startswith("Small")
    assert rows[4].startswith("├─Conv2d: 1-1")
    assert rows[7].startswith("│   └─Block: 2-2") or rows[8].startswith("│   └─Block: 2-2")
    assert "Total params: 1,458" in rows
    assert "Total mult-adds (M): 1.40" in rows
    assert "Input size (MB): 0.01" in rows


def test_the_parameters_and_products_of_a_summary_add_up():
    for depth in range(5):
        text = torch_summary(made.residual(), depth=depth, col_names=("num_params", "mult_adds"))
        cells = [row.split()[-2:] for row in text.split("=\n")[2].splitlines() if row[:1] != "="]
        numbers = [[0 if c == "--" else int(c.replace(",", "")) for c in row] for row in cells]
        products = (216 + 2 * 576) * 32 * 32 + 80
        assert [sum(column) for column in zip(*numbers, strict=True)] == [1458, products]


def test_a_column_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(Exception, match="Nearest: num_params"):
        torch_summary(made.residual(), col_names=("num_param",))


def test_a_depth_below_0_is_refused():
    for ask in (lines, lambda record, depth: torch_summary(record, depth=depth)):
        with pytest.raises(SettingError, match="depth: expected at least 0, not -1"):
            ask(made.residual(), -1)
