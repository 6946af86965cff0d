"""The drawn graph: what becomes a box, where boxes go, and what the page holds."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.util
import json
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from netwright.report.field_page import field_page
from netwright.report.field_picture import field_picture, image_size, seen
from netwright.report.graph_layout import laid_out
from netwright.report.graph_nodes import graph
from netwright.report.graph_picture import graph_picture
from netwright.report.layer_html import layer_html
from netwright.report.network_comparison import compare

_spec = importlib.util.spec_from_file_location(
    "inspections", Path(__file__).with_name("inspections.py")
)
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


def test_an_activation_goes_into_the_box_it_follows_and_a_join_has_its_own():
    found = graph(made.residual())
    assert [(each.title, each.kinds, each.role) for each in found.nodes] == [
        ("input", (), "input"),
        ("stem", ("conv2d", "relu"), "product"),
        ("block.0.conv", ("conv2d",), "product"),
        ("block.0", ("add", "relu"), "join"),
        ("block.1.conv", ("conv2d",), "product"),
        ("block.1", ("add", "relu"), "join"),
        ("pool", ("mean",), "other"),
        ("fc", ("linear",), "product"),
    ]
    assert found.edges == ((0, 1), (1, 2), (2, 3), (1, 3), (3, 4), (4, 5), (3, 5), (5, 6), (6, 7))


def test_a_graph_with_too_many_boxes_is_folded_by_its_modules():
    found = graph(made.residual(), most=6)
    assert [(each.title, each.kinds) for each in found.nodes] == [
        ("input", ()), ("stem", ("conv2d", "relu")), ("block.0", ("Block",)),
        ("block.1", ("Block",)), ("pool", ("mean",)), ("fc", ("linear",)),
    ]  # fmt: skip
    assert sum(each.macs for each in found.nodes) == made.residual().macs


@pytest.mark.parametrize("seed", range(20))
def test_boxes_never_overlap_and_edges_lead_down(seed):
    draw = random.Random(seed)
    count = draw.randint(1, 25)
    edges = sorted({(draw.randrange(b), b) for b in range(1, count) for _ in range(3)})
    found = laid_out(count, edges, box=(100.0, 30.0), gap=(20.0, 20.0))
    for a in range(count):
        for b in range(a):
            (x1, y1), (x2, y2) = found.centres[a], found.centres[b]
            assert abs(x1 - x2) >= 119.9 or abs(y1 - y2) >= 49.9
    for (a, b), route in zip(edges, found.routes, strict=True):
        assert found.centres[a][1] < found.centres[b][1]
        assert [y for _, y in route] == sorted(y for _, y in route)
    assert all(49.9 <= x <= found.width - 49.9 for x, _ in found.centres)


def test_a_chain_is_one_straight_line():
    found = laid_out(5, [(k, k + 1) for k in range(4)] + [(1, 3)], box=(100.0, 30.0))
    assert len({round(found.centres[k][0]) for k in (0, 1, 3, 4)}) == 1


def test_the_picture_is_well_formed_and_escapes_names():
    record = made.residual(stem='<script>"x"')
    ops = (dataclasses.replace(record.operations[0], layer='<b onload="x">'),)
    record = dataclasses.replace(record, operations=(*ops, *record.operations[1:]))
    content, width, height = graph_picture(record)
    ET.fromstring(f"<svg>{content}</svg>")
    assert "<b onload" not in content
    assert width > 216
    assert height > 300


def test_a_field_is_drawn_where_it_is():
    record = made.residual()
    row = next(each for each in record.layers if each.name == "block.1.conv")
    found = seen(row, record, (0, 16))
    assert (found.rows, found.columns) == ((-3, 3), (13, 19))
    content, width, _ = field_picture(record, [found])
    scale = width / image_size(record)[1]
    rects = [each.attrib for each in ET.fromstring(f"<svg>{content}</svg>").iter("rect")]
    inside = rects[-1]
    assert float(inside["y"]) == 0  # what lies in padding is cut off here, and dashed outside
    assert float(inside["height"]) == pytest.approx(4 * scale, abs=0.1)
    assert float(inside["x"]) == pytest.approx(13 * scale, abs=0.1)
    assert any("stroke-dasharray" in each for each in rects)


def test_the_page_allows_its_own_script_only_and_offers_the_layers_with_a_window():
    record = made.residual(name="a</script><script>alert(1)")
    page = field_page(record, graph=graph_picture(record))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "<script>alert" not in page
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', page)[1])
    names = [each["name"] for each in facts["layers"]]
    assert "block.1.conv" in names
    assert "fc" not in names
    assert facts["words"].startswith("{layer}, unit ({row}, {column})")
    assert "http" not in page.replace("http-equiv", "")


def test_the_notebook_tree_is_nested_escaped_and_without_script():
    page = layer_html(made.residual(name="<img src=x onerror=1>"))
    ET.fromstring(page.replace("<details open>", "<details>"))
    assert "<img" not in page
    assert "<script" not in page
    assert page.count("<details") == 4  # the network, the stage, two blocks


def test_networks_with_the_same_paths_are_compared_path_by_path():
    left, right = made.residual(), made.residual(name="other")
    right = dataclasses.replace(
        right, layers=tuple(each for each in right.layers if each.name != "act")
    )
    found = compare(left, right, depth=3)
    names = [(a and a.label, b and b.label) for a, b in found.pairs]
    assert names[0] == ("stem", "stem")
    assert ("act", None) in names
    assert found.totals["params"] == (1458, 1458)
    assert "2 / 1" in str(found)
    assert found.to_json()["ratios"]["macs"] == 1.0
    json.dumps(found.to_json())


def test_networks_of_other_paths_are_compared_in_their_order():
    left, right = made.residual(), made.residual(name="other")
    renamed = tuple(
        dataclasses.replace(each, name=f"net.{each.name}") if each.name else each
        for each in right.layers
    )
    right = dataclasses.replace(right, layers=renamed[:-1])
    found = compare(left, right, depth=1)
    assert found.pairs[0][0].label == "stem"
    assert found.pairs[0][1].label == "net.stem"
    assert "stem / net.stem" in str(found)
