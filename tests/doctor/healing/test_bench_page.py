"""The pages of the healing benchmark are made of the lines that lie beside them."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "healing"
LINES = sorted(FOLDER.glob("healing*.jsonl"))


SETUP = {"part": "tune", "torch": "2", "processor": "one", "cores": 1, "longer": 4}


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))  # where `beyond` lies
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


def test_the_goal_counts_treatable_faults_and_what_is_healed_beyond_counts_among_all(table):
    beyond, (kind, _) = next(iter(table.BEYOND.items()))
    near = {
        "what": "fault", "twin": 0.95, "control": 0.4, "healed": 0.94, "repaired": True,
        "cost": 1.0, "passes": 1.1, "seconds": 2.0, "times": 1.0,
        "tried": [], "kept": [], "found": [],
    }  # fmt: skip
    cells = {
        "one": near | {"name": "rate-of-one"},
        "two": near | {"name": "rate-times-30", "healed": 0.5},
        "three": near | {"name": beyond},
        "four": {"what": "fault", "name": beyond, "failed": "killed"},
    }
    page = table.page(cells, SETUP)
    healed = next(each for each in page.splitlines() if "within two points of the twin |" in each)
    assert [each.partition(" (")[0] for each in healed.split(" | ")[1:]] == [
        "50.0 % of 2",
        "50.0 % of 4",
    ]
    assert "(9.5 to 90.5)" in healed
    assert f"2 {kind}" in page
    assert f"| three | {kind} | 0.400 |" in page
    assert f"| four | {kind} | | |" in page
    assert "| one |  | 0.400 |" in page
