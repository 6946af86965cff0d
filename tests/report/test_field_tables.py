"""The numbers behind a page on which a unit moves: each unit sees what its field says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw
from netwright.core.errors import SettingError
from netwright.inspection.tracing import sights_of_calls
from netwright.records.unit_rows import UnitRows
from netwright.report.field_tables import table

SIZE = (12, 9)


class Winding(nn.Module):
    """A window, a box written over, a resize, a turned map, gaps, and everything."""

    def __init__(self) -> None:
        super().__init__()
        self.window = nn.Conv2d(1, 2, 3, padding=1)
        self.boxed = nn.Identity()
        self.larger = nn.Upsample(scale_factor=1.5, mode="bilinear")
        self.turned = nn.Identity()
        self.gaps = nn.ConvTranspose2d(2, 2, 2, stride=3)
        self.whole = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.window(x)
        y = x.clone()
        y[:, :, 2:5, 3:7] += F.avg_pool2d(x, 5, 1, 2)[:, :, 2:5, 3:7]
        larger = self.larger(self.boxed(y))
        turned = self.turned(larger.transpose(2, 3).contiguous())
        return self.whole(self.gaps(turned))


LAYERS = ("window", "boxed", "larger", "turned", "gaps", "whole")


def facts_of_page(tmp_path: Path, info: nw.Inspection, **words: Any) -> dict[str, Any]:
    info.picture(tmp_path / "field.html", **words)
    page = (tmp_path / "field.html").read_text()
    found = re.search(r'id="facts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    facts: dict[str, Any] = json.loads(found.group(1))
    return facts


def read(facts: dict[str, Any], axis: dict[str, Any], row: int, column: int, length: int) -> Any:
    """As the script of the page reads it."""
    if axis.get("sight") == "all":
        return 0, length - 1
    numbers = facts["tables"][axis["table"]]
    if "line" in numbers:
        at = numbers["line"][row] * numbers["across"] + column
    else:
        at = row * numbers["down"] + column * numbers["across"]
    first, size = numbers["first"][at], numbers["size"][at % len(numbers["size"])]
    return (first, first + size - 1) if size else None


def test_every_unit_of_every_layer_of_a_page_sees_what_its_field_says(tmp_path: Path) -> None:
    net = Winding()
    info = nw.inspect(net, (1, *SIZE))
    facts = facts_of_page(tmp_path, info, layer="larger")
    sights = sights_of_calls(net, (torch.zeros(1, 1, *SIZE),), {})
    assert [each["name"] for each in facts["layers"]] == list(LAYERS)
    for layer in facts["layers"]:
        name = layer["name"]
        sight = next(s for row, s in zip(info.rows, sights, strict=True) if row.name == name)
        assert sight is not None
        for row, column in np.ndindex(*layer["units"]):
            for axis in range(2):
                told = read(facts, layer["axes"][axis], row, column, SIZE[axis])
                everything = info[name].receptive_field.sight[axis] == "all"
                expected = (
                    (0, SIZE[axis] - 1) if everything else sight.span(axis, 0, 0, row, column)
                )
                assert told == expected, (name, row, column)


def test_only_layers_whose_rows_depend_on_columns_are_searched_whole(tmp_path: Path) -> None:
    facts = facts_of_page(tmp_path, nw.inspect(Winding(), (1, *SIZE)))
    crossed = [each["name"] for each in facts["layers"] if each["crossed"]]
    assert crossed == ["boxed", "larger", "turned", "gaps"]


def test_layers_that_see_alike_share_their_numbers(tmp_path: Path) -> None:
    facts = facts_of_page(tmp_path, nw.inspect("resnet20"))
    assert len(facts["tables"]) < len(facts["layers"])


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_the_drawn_unit_has_its_own_rows_where_the_field_varies(
    tmp_path: Path, ending: str
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"))
    info = nw.inspect(net, (1, 8, 8))
    for unit in (4, 5):
        (rows, columns) = info["1"].receptive_field.at(unit)
        drawn = info.picture(tmp_path / f"a.{ending}", layer="1", unit=(unit, unit))
        assert f"rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]}" in drawn.svg
        assert f"rows {rows[0]} to {rows[1]}," in (tmp_path / f"a.{ending}").read_text()


def test_a_unit_whose_rows_depend_on_its_column_too_is_asked_by_both() -> None:
    info = nw.inspect(Winding(), (1, *SIZE))
    assert info["boxed"].receptive_field.at((3, 4)) == ((0, 6), (1, 7))
    assert info["boxed"].receptive_field.at((3, 2)) == ((2, 4), (1, 3))
    assert info["turned"].receptive_field.at((0, 3)) == ((0, 3), (-1, 1))


def test_without_a_unit_the_nearest_to_the_middle_that_sees_is_drawn() -> None:
    info = nw.inspect(nn.Sequential(nn.ConvTranspose2d(1, 1, 1, stride=3)), (1, 4, 4))
    assert "unit (6, 6): rows 2 to 2" in info.picture(layer="0").svg  # of 10; 5 sees nothing


def test_a_unit_that_sees_nothing_is_refused() -> None:
    info = nw.inspect(nn.Sequential(nn.ConvTranspose2d(1, 1, 1, stride=3)), (1, 4, 4))
    with pytest.raises(SettingError, match=r"^0: unit \(1, 0\) sees no pixel of the image\.$"):
        info.picture(layer="0", unit=(1, 0))


def test_equal_lines_of_a_table_are_kept_once() -> None:
    first = np.array([[0, 1], [5, 6], [0, 1]])
    found = table(UnitRows(first, first + 2), 3, axis=0)
    assert found == {
        "first": [0, 1, 5, 6], "size": [3], "down": 0, "across": 2, "line": [0, 1, 0],
    }  # fmt: skip


def test_a_map_of_a_few_hundred_units_a_side_stays_a_small_page(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        *(nn.Upsample(scale_factor=1.3, mode="bicubic") for _ in range(4)),
    )
    nw.inspect(net, (3, 128, 128)).picture(tmp_path / "large.html")
    assert (tmp_path / "large.html").stat().st_size < 60_000
