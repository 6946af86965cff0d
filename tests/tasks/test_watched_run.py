"""`doctor.mode=watch`: our own trainer is watched, and computes the same bits."""

from __future__ import annotations

import json

import pytest

import netwright as nw
from netwright.core.events import Noted
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training, alone and watched, and what the watched one said."""
    place = tmp_path_factory.mktemp("runs")
    said = []
    plain = nw.train("digits", model="mlp", epochs=2, run_dir=place / "plain")
    watched = nw.train(
        "digits",
        model="mlp",
        epochs=2,
        doctor__mode="watch",
        run_dir=place / "watched",
        listeners=[lambda event: said.append(event) if isinstance(event, Noted) else None],
    )
    return plain, watched, said


def test_watched_training_is_the_same_to_the_bit(runs):
    plain, watched, _ = runs
    weights = [(each.run.path / "best.safetensors").read_bytes() for each in (plain, watched)]
    assert weights[0] == weights[1]
    values = [{k: v for k, v in line.items() if "time" not in k} for line in plain.run.metrics]
    assert values == [
        {k: v for k, v in line.items() if "time" not in k} for line in watched.run.metrics
    ]


def test_its_record_says_what_the_recipe_knows(runs):
    record = Record.load(runs[1].run.path)
    setup, steps = record.get(Setup), record.get(Steps)
    assert (setup.model, setup.loop, setup.task) == ("mlp", "netwright", "classification")
    assert (setup.epochs, setup.planned_steps, setup.batch) == (2, 40, 64)
    assert setup.train_samples == 1294
    assert setup.val_samples == 144
    assert steps.total == 40
    assert set(steps.epoch) == {1.0, 2.0}
    assert (steps.wait[1:] > 0).all()
    assert record.get(Epochs) is not None


def test_its_findings_are_one_line_and_a_file(runs):
    (line,) = [each for each in runs[2] if each.word == "doctor"]
    assert line.values["stop"] == 0
    text = (runs[1].run.path / "findings.jsonl").read_text()
    assert len([json.loads(each) for each in text.splitlines()]) == line.values["note"]


def test_a_run_that_nobody_watches_holds_no_record(runs):
    assert not (runs[0].run.path / "record.json").exists()


def test_the_report_tells_what_was_found(runs):
    page = runs[1].report.read_text()
    assert 'id="findings"' in page
    assert 'id="layer-time"' in page
    assert 'id="findings"' not in runs[0].report.read_text()
