"""`doctor.mode=repair`: a run that fails goes back, is treated, and goes on."""

from __future__ import annotations

import json
import signal

import pytest
import torch

import netwright as nw
from netwright.core.errors import DivergedError, InterruptedRunError, SettingError
from netwright.core.events import Noted, StepEnded
from netwright.core.languages import speaking
from netwright.data.feed import Feed
from netwright.records.run import Run
from netwright.report.page import render
from netwright.tasks.repaired_run import anchor_steps
from netwright.tasks.training import train

SGD = {"optim__name": "sgd", "epochs": 4}

BROKEN = {"optim__lr": 1e4, "epochs": 2}
"""A rate at which the loss is infinite at step 7, whatever the clock says."""


def lines(path, name):
    return [json.loads(each) for each in (path / name).read_text().splitlines()]


def measured(path):
    return [
        {name: value for name, value in line.items() if "time" not in name}
        for line in lines(path, "metrics.jsonl")
    ]


def interventions(path):
    """Without the finding, whose evidence hangs on the clock."""
    return [each | {"known": None} for each in lines(path, "interventions.jsonl")]


def same_end(one, other):
    """Whether two runs have come to the same weights, curves and interventions."""
    ends = [(each / "best.safetensors").read_bytes() for each in (one, other)]
    told = [interventions(each) for each in (one, other)]
    return ends[0] == ends[1] and measured(one) == measured(other) and told[0] == told[1]


def resume(path):
    return train(None, resume=str(path))


def repair(path, *listeners, **settings):
    settings = {"doctor__mode": "repair", **settings}
    return nw.train("digits", model="mlp", run_dir=path, listeners=listeners, **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run with a rate a hundred times too high, and what it said."""
    said = []
    path = tmp_path_factory.mktemp("runs") / "saved"
    trained = repair(
        path, lambda e: said.append(e) if isinstance(e, Noted) else None, **SGD, optim__lr=10.0
    )
    return trained, [each for each in said if each.word in ("STOP", "repair", "doctor")]


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run that breaks, is treated and comes to its end undisturbed."""
    return repair(tmp_path_factory.mktemp("runs") / "broken", **BROKEN).run.path


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    place, made = tmp_path_factory.mktemp("runs"), {**SGD, "optim__lr": 0.1}
    watched = nw.train("digits", model="mlp", **made, doctor__mode="watch", run_dir=place / "one")
    return watched, repair(place / "repair", **made)


def test_a_healthy_run_is_the_same_to_the_bit(healthy):
    watched, left_alone = (each.run.path for each in healthy)
    ends = [(each / "best.safetensors").read_bytes() for each in (watched, left_alone)]
    assert ends[0] == ends[1]
    assert measured(watched) == measured(left_alone)
    assert not (left_alone / "interventions.jsonl").exists()


def test_a_rate_far_too_high_is_saved_by_one_intervention(saved, healthy):
    trained, _ = saved
    (done,) = lines(trained.run.path, "interventions.jsonl")
    assert done["finding"] in ("learning-rate-too-high", "nonfinite")
    assert (done["back_to"], done["outcome"]) == (0, "held")
    assert 0.003 <= done["rate"] <= 0.03
    assert trained.best["value"] > healthy[0].best["value"] - 0.03


def test_what_was_tried_is_written_down(saved):
    (done,) = lines(saved[0].run.path, "interventions.jsonl")
    losses = {each["rate"]: each["loss"] for each in done["tried"]}
    assert min(losses, key=losses.get) == done["rate"]


def test_it_is_said_in_two_lines(saved):
    stop, repaired, end = saved[1]
    assert stop.word == "STOP"
    assert " at step " in stop.template
    assert repaired.template.format(**repaired.values).startswith("back to step 0, learning rate x")
    assert (end.word, end.values["stop"]) == ("doctor", 0)
    assert end.template == "nothing stands any more; repaired on the way: {names}"
    assert end.values["names"] == stop.values["name"]


def test_the_curves_tell_each_epoch_once(saved):
    assert [each["epoch"] for each in measured(saved[0].run.path)] == [1, 2, 3, 4]


def test_a_finding_that_was_treated_stands_no_more(saved):
    found = lines(saved[0].run.path, "findings.jsonl")
    (treated,) = [each for each in found if each.get("treated")]
    assert treated["severity"] == "note"
    assert treated["outcome"].startswith("treated: back to step 0")
    assert not [each for each in found if each["severity"] == "stop"]


def test_the_report_marks_it_on_the_curves_and_lists_it(saved):
    page = render(Run(saved[0].run.path), language="en")
    assert 'id="interventions"' in page
    assert ">R1</text>" in page
    with speaking("zh"):
        assert "训练出了问题，退回较早的一步" in render(Run(saved[0].run.path), language="zh")


def test_numbers_that_are_not_finite_lead_back(broken):
    (done,) = interventions(broken)
    assert (done["seen"], done["back_to"], done["outcome"]) == (7, 0, "held")
    assert Run(broken).best["value"] > 0.8


class KilledError(Exception):
    """As if the process had been killed: nothing is saved."""


@pytest.mark.parametrize("how", ["signal", "crash"])
def test_a_resume_after_an_intervention_is_exact(broken, tmp_path, how):
    treated = []

    def stop(event):
        if isinstance(event, Noted) and event.word == "repair":
            treated.append(event)
        if isinstance(event, StepEnded) and treated and event.step == 25:
            if how == "crash":
                raise KilledError
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises((InterruptedRunError, KilledError)):
        repair(tmp_path / "run", stop, **BROKEN)
    resume(tmp_path / "run")
    assert same_end(broken, tmp_path / "run")


def test_ctrl_c_during_the_rollback_loses_nothing(broken, tmp_path):
    def stop(event):
        if isinstance(event, Noted) and event.word == "STOP":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="Ctrl-C after step 1"):
        repair(tmp_path / "run", stop, **BROKEN)
    (done,) = lines(tmp_path / "run", "interventions.jsonl")
    assert done["outcome"] == "open"
    resume(tmp_path / "run")
    assert same_end(broken, tmp_path / "run")


def test_a_kill_between_going_back_and_saving_is_as_if_it_had_not_begun(broken, tmp_path):
    def stop(event):
        if isinstance(event, Noted) and event.word == "repair":
            raise KilledError

    with pytest.raises(KilledError):
        repair(tmp_path / "run", stop, **BROKEN)
    resume(tmp_path / "run")
    assert same_end(broken, tmp_path / "run")


def test_when_all_is_used_up_the_run_ends_as_diverged_and_says_what_was_tried(tmp_path):
    with pytest.raises(DivergedError, match="could not be repaired: nonfinite at step 2") as caught:
        repair(tmp_path / "run", optim__name="sgd", optim__lr=1e20, epochs=1, doctor__repairs=2)
    assert caught.value.exit_code == 5
    assert "from step 0 learning rate x 0.1; from step 0 learning rate x 0.1" in str(caught.value)
    assert Run(tmp_path / "run").status == "diverged"
    outcomes = [each["outcome"] for each in lines(tmp_path / "run", "interventions.jsonl")]
    assert outcomes == ["came-back", "came-back"]
    assert [
        (each["name"], each["severity"]) for each in lines(tmp_path / "run", "findings.jsonl")
    ] == [("nonfinite", "stop")]


def test_a_batch_that_is_bad_itself_is_left_out_and_the_rate_stays(tmp_path, monkeypatch):
    iterate = Feed.iterate

    def with_a_hole(self, start, stop):
        for number, batch in enumerate(iterate(self, start, stop), start):
            if number == 30:
                batch = batch._replace(images=batch.images * torch.nan)
            yield batch

    monkeypatch.setattr(Feed, "iterate", with_a_hole)
    trained = repair(tmp_path / "run", epochs=2)
    (done,) = lines(trained.run.path, "interventions.jsonl")
    assert (done["skipped"], done["rate"], done["back_to"]) == (30, 1.0, 20)
    assert done["changes"] == "the batch of step 30 left out"
    assert trained.best["value"] > 0.8


def test_several_seeds_are_not_stacked(tmp_path):
    with pytest.raises(SettingError, match=r"doctor\.mode=repair treats each run by itself"):
        repair(tmp_path / "run", epochs=1, seeds=2, run__stack="always")


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingError, match="one process only, and WORLD_SIZE is 2"):
        repair(tmp_path / "run", epochs=1)


def test_places_to_go_back_to_are_a_function_of_the_length_of_the_run():
    assert [anchor_steps(each) for each in (0, 40, 400, 4000)] == [20, 20, 20, 200]
