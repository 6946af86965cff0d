"""The pages of the healing benchmark are made of the lines that lie beside them."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "healing"
LINES = sorted(FOLDER.glob("healing*.jsonl"))


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("healing_table", FOLDER / "healing_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", LINES, ids=lambda path: path.stem)
def test_a_page_is_that_of_its_lines(table, path):
    first, *lines = [json.loads(each) for each in path.read_text().splitlines()]
    cells = {each.pop("cell"): each for each in lines}
    assert path.with_suffix(".md").read_text() == table.page(cells, first["setup"])


def test_a_fault_counts_where_it_hurts_and_is_healed_near_its_twin(table):
    line = {"twin": 0.95, "control": 0.4, "healed": 0.94}
    assert table.hurt(line)
    assert table.near(line)
    assert table.gain(line) == pytest.approx(0.54)
    assert not table.hurt(line | {"control": 0.94})
    assert not table.near(line | {"healed": None})
    assert table.hurt({"failed": "killed"})
