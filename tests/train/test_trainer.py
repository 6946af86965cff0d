"""The loop knows steps, events, checkpoints and time; here with a task one can see through."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import CheckpointError, DivergedError
from netwright.train.checkpoints import Checkpoints
from netwright.train.run_folder import RunFolder
from netwright.train.task import Goal, NonFiniteError, Rhythm, Task
from netwright.train.trainer import Plan, Trainer


class Counting(Task):
    """Its one weight counts the steps; its score follows a list, one value an evaluation."""

    def __init__(self, *, steps=12, every=3, scores=None, bad_step=None, epochs=True):
        self.rhythm = Rhythm(
            steps=steps, steps_per_epoch=every if epochs else None, evaluate_every=every
        )
        self.goal = Goal(metric="val/score", mode="max") if scores is not None else None
        self.scores = scores
        self.bad_step = bad_step
        self.weight = torch.zeros(1)
        self.fed = []
        self.shown = []

    def feed(self, step):
        self.fed.append(step)
        return iter(range(step, self.rhythm.steps))

    def step(self, batch, step):
        assert batch == step
        if step == self.bad_step:
            raise NonFiniteError("loss", float("nan"))
        self.weight += 1
        values = {"loss": torch.tensor(float(step))}
        return values | ({"rare": torch.tensor(1.0)} if step % 2 == 0 else {})

    def evaluate(self, step):
        if self.scores is None:
            return {"play/length": 7.0}
        return {"val/score": self.scores[step // self.rhythm.evaluate_every - 1]}

    def weights(self):
        return {"weight": self.weight}

    def load_weights(self, weights):
        self.weight.copy_(weights["weight"])

    def state(self):
        return {"optimizer": {}, "schedule": {}, "scaler": None, "average": None}

    def load_state(self, state):
        pass

    def facts(self):
        return {"order": {"seed": 0}, "data": "counting"}

    def identify(self, batch):
        return {"number": batch}

    def allows(self, request):
        return not isinstance(request, e.Call)

    def show(self, folder, step):
        self.shown.append(step)


class Bench:
    """A run folder with a trainer in it, and everything the trainer said."""

    def __init__(self, path, task, **plan):
        self.path = path
        self.task = task
        self.said = []
        self.folder = RunFolder.create(path, name_parts=[], root=path.parent)
        self.checkpoints = Checkpoints(path / "ckpt")
        self.events = e.Events(self.said.append)
        self.trainer = Trainer(
            task,
            self.folder,
            self.checkpoints,
            plan=Plan(**({"save_seconds": None} | plan)),
            events=self.events,
            environment={"torch": "x"},
            settings={},
        )

    def lines(self):
        return [json.loads(line) for line in (self.path / "metrics.jsonl").read_text().splitlines()]

    def on_step(self, step, action):
        def listen(event):
            if isinstance(event, e.StepEnded) and event.step == step:
                action()

        self.events.listen(listen)

    def close(self):
        self.checkpoints.close()
        self.folder.close()


@pytest.fixture
def bench(tmp_path):
    made = []
    counter = itertools.count()

    def make(task, **plan):
        made.append(Bench(tmp_path / f"run{next(counter)}", task, **plan))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_line_is_written_at_each_evaluation_with_means_over_the_steps_that_told(bench):
    run = bench(Counting())
    assert run.trainer.fit().status == "done"
    assert [line["step"] for line in run.lines()] == [3, 6, 9, 12]
    assert [line["epoch"] for line in run.lines()] == [1, 2, 3, 4]
    assert [line["train/loss"] for line in run.lines()] == [1.0, 4.0, 7.0, 10.0]
    assert [line["train/rare"] for line in run.lines()] == [1.0] * 4
    assert {line["play/length"] for line in run.lines()} == {7.0}


def test_events_come_in_order(bench):
    run = bench(Counting(steps=3))
    run.trainer.fit()
    kinds = [type(each).__name__ for each in run.said]
    assert kinds == [
        "RunStarted", "CheckpointSaved", "StepEnded", "StepEnded", "StepEnded", "Measured",
        "CheckpointSaved",
    ]  # fmt: skip


def test_the_best_is_the_first_of_equals_and_patience_counts_from_it(bench):
    run = bench(Counting(scores=[0.5, 0.7, 0.7, 0.1]), patience=2)
    outcome = run.trainer.fit()
    assert outcome.progress.best == {
        "metric": "val/score", "value": 0.7, "epoch": 2, "step": 6,
    }  # fmt: skip
    assert outcome.why == "no better val/score in 2 evaluations"
    assert run.checkpoints.newest().best == 6


def test_a_score_that_is_no_number_is_never_the_best_and_null_in_the_file(bench):
    run = bench(Counting(scores=[float("nan"), 0.2, float("inf"), 0.1]))
    assert run.trainer.fit().progress.best["step"] == 6
    assert [line["val/score"] for line in run.lines()] == [None, 0.2, None, 0.1]


def test_with_select_last_the_newest_counts(bench):
    run = bench(Counting(scores=[0.9, 0.1, 0.2, 0.3]), select="last")
    assert run.trainer.fit().progress.best["value"] == 0.3


def test_a_task_without_goal_or_epochs_runs_as_well(bench):
    run = bench(Counting(epochs=False))
    assert run.trainer.fit().progress.best is None
    assert {line["epoch"] for line in run.lines()} == {0}


def test_pictures_are_asked_for_after_each_evaluation(bench):
    run = bench(Counting())
    run.trainer.fit()
    assert run.task.shown == [3, 6, 9, 12]


def test_a_listener_stops_the_run_at_the_next_boundary(bench):
    run = bench(Counting())
    run.on_step(5, lambda: run.events.request(e.Stop("seen enough")))
    outcome = run.trainer.fit()
    assert (outcome.progress.step, outcome.why) == (5, "seen enough")
    assert run.checkpoints.newest().step == 5


def test_a_listener_has_a_checkpoint_saved(bench):
    run = bench(Counting())
    run.on_step(4, lambda: run.events.request(e.Save()))
    run.trainer.fit()
    assert 4 in run.checkpoints.steps()


def test_a_listener_sends_the_run_back_and_nothing_stands_twice(bench):
    run = bench(Counting(), save_steps=2)
    requests = iter([e.Rewind(5)])
    run.on_step(8, lambda: run.events.request(next(requests, e.Save())))
    run.trainer.fit()
    assert run.task.fed == [0, 4], "the newest checkpoint at or before step 5 is that of step 4"
    assert float(run.task.weight) == 12
    assert [line["step"] for line in run.lines()] == [3, 6, 9, 12]


def test_what_the_task_does_not_allow_is_said_and_not_done(bench):
    run = bench(Counting())
    run.on_step(2, lambda: run.events.request(e.Call(lambda task: task.weight.zero_())))
    run.trainer.fit()
    assert float(run.task.weight) == 12
    assert any(isinstance(each, e.Noted) for each in run.said)


def test_a_step_that_is_not_finite_ends_the_run_with_a_bundle(bench):
    run = bench(Counting(bad_step=7), save_steps=5)
    with pytest.raises(DivergedError, match="step 7"):
        run.trainer.fit()
    (bundle,) = (run.path / "evidence").iterdir()
    facts = json.loads(bundle.read_text())
    assert (facts["step"], facts["batch"], facts["checkpoint"]) == (7, {"number": 7}, 5)
    assert run.checkpoints.newest().step == 5


def test_a_checkpoint_of_another_run_is_refused(bench):
    run = bench(Counting())
    run.trainer.fit()
    other = bench(Counting())
    other.task.facts = lambda: {"order": {"seed": 1}, "data": "counting"}
    with pytest.raises(CheckpointError, match="order differ"):
        other.trainer.fit(run.checkpoints.newest())


def test_another_environment_makes_a_resume_approximate_and_so_may_the_task(bench):
    run = bench(Counting())
    run.trainer.fit()
    newest = run.checkpoints.newest()
    assert bench(Counting()).trainer.restore(newest) == "exact"
    other = bench(Counting())
    other.trainer.environment = {"torch": "y"}
    other.task.inexact = "the game starts anew"
    assert str(other.trainer.restore(newest)) == (
        "approximate because torch x -> y; the game starts anew"
    )
