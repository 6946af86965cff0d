"""A stack of networks takes the steps that each of them would take alone."""

from __future__ import annotations

import copy
import json
import math
import signal
import subprocess
import sys

import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import DivergedError, InterruptedRunError, SettingError
from netwright.records.run import Run
from netwright.records.seeds import seed_runs
from netwright.tasks import training
from netwright.tasks.computing import reproducible
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import resolve
from netwright.tasks.stack_trial import try_both
from netwright.tasks.stacked import Stack, why_not
from netwright.train.task import NonFiniteError
from netwright.train.weights import read_weights

NETWORKS = {
    "mlp": {"model": "mlp", "model__hidden": [32]},
    "lenet5": {"model": "lenet5", "data__size": 14},
    "batch-norm": {"model": "resnet20", "batch": 8},
}


def tasks_of(count=3, **settings):
    seeds = [
        resolve(data="digits", settings=settings | {"seed": seed}, environ={})
        for seed in range(count)
    ]
    return [prepare(each, e.Events()).task for each in seeds]


def both(steps, count=3, **settings):
    """(alone, stacked): for each step the losses and norms of each task; and the two sets."""
    with reproducible():
        alone, stacked = tasks_of(count, **settings), tasks_of(count, **settings)
        stack = Stack(stacked)
        told = ([], [])
        feeds = [task.feed(0) for task in alone]
        for step in range(steps):
            batches = [next(feed) for feed in feeds]
            told[0].append([t.step(b, step) for t, b in zip(alone, batches, strict=True)])
            told[1].append(stack.take(batches, step))
        stack.publish()
    return told, alone, stacked


@pytest.mark.parametrize("name", NETWORKS)
def test_thirty_steps_of_a_stack_are_those_of_each_network_alone(name):
    steps = 30 if name != "batch-norm" else 6
    told, alone, stacked = both(steps, **NETWORKS[name], optim="sgd", optim__lr=0.02, epochs=3)
    for mine, theirs in zip(*told, strict=True):
        for each, other in zip(mine, theirs, strict=True):
            assert other["loss"] == pytest.approx(float(each["loss"]), rel=1e-5)
            assert other["grad/norm"] == pytest.approx(each["grad/norm"], rel=1e-4)
    for task, other in zip(alone, stacked, strict=True):
        assert other.tally.take() == pytest.approx(task.tally.take())
        theirs = other.weights()
        for key, weight in task.weights().items():  # running statistics among them
            torch.testing.assert_close(theirs[key], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"optim": "sgd", "optim__momentum": 0.9, "optim__nesterov": True, "optim__wd": 0.1},
        {"optim": "sgd", "optim__wd": 0.1, "optim__spare": False, "optim__clip": 0.5},
        {"optim": "adamw", "optim__wd": 0.5, "optim__clip": 0.5},
        {"optim": "adam", "optim__wd": 0.1},
        {"optim": "nadam"},
        {"optim": "rmsprop"},
        {"optim": "adagrad"},
        {"optim": "adadelta"},
        {"run__ema": 0.9, "aug__shift": 1, "loss__smoothing": 0.1},
        {"loss": "focal"},
    ],
    ids=lambda each: "-".join(str(value) for value in each.values()),
)
def test_every_optimizer_makes_the_same_steps_of_a_stack(settings):
    told, alone, stacked = both(
        8, model="mlp", model__hidden=[16], epochs=1, sched="cosine", **settings
    )
    for mine, theirs in zip(*told, strict=True):
        for each, other in zip(mine, theirs, strict=True):
            assert other["loss"] == pytest.approx(float(each["loss"]), rel=1e-5)
    for task, other in zip(alone, stacked, strict=True):
        for key, weight in task.weights().items():
            torch.testing.assert_close(other.weights()[key], weight, rtol=1e-3, atol=1e-5)
        state, theirs = task.optimizer.state_dict(), other.optimizer.state_dict()
        assert state["param_groups"] == theirs["param_groups"]
        assert state["state"].keys() == theirs["state"].keys()
        for key, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, torch.Tensor):
                    torch.testing.assert_close(
                        theirs["state"][key][name], value, rtol=1e-3, atol=1e-5
                    )


def test_a_network_whose_numbers_break_leaves_the_stack_and_the_others_do_not_notice():
    with reproducible():
        alone, stacked = (
            tasks_of(3, model="mlp", model__hidden=[16], optim="sgd") for _ in range(2)
        )
        stack, feeds = Stack(stacked), [task.feed(0) for task in alone]
        for step in range(4):
            batches = [next(feed) for feed in feeds]
            if step == 2:
                with torch.no_grad():
                    next(stacked[1].model.parameters()).fill_(math.nan)
                broken = copy.deepcopy(stacked[1].weights())
            expected = [t.step(b, step) for t, b in zip(alone, batches, strict=True)]
            members = [stacked.index(task) for task in stack.tasks]
            told = stack.take([batches[i] for i in members], step)
            for i, values in zip(members, told, strict=True):
                if step == 2 and i == 1:
                    assert isinstance(values, NonFiniteError)
                    assert values.what == "loss"
                else:
                    assert values["loss"] == pytest.approx(float(expected[i]["loss"]), rel=1e-5)
        assert stack.tasks == [stacked[0], stacked[2]]
        torch.testing.assert_close(stacked[1].weights(), broken, equal_nan=True)
        stack.publish()
        for i in (0, 2):
            for key, weight in alone[i].weights().items():
                torch.testing.assert_close(stacked[i].weights()[key], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model": "resnet20", "model__dropout": 0.2}, "Dropout draws random numbers"),
        ({"model": "mlp", "optim": "lbfgs"}, "weight by weight"),
        ({"model": "mlp", "optim__l1": 0.01}, "more than a stack can"),
        ({"model": "mlp", "sched": "plateau"}, "answers to the evaluations"),
        ({"model": "mlp", "data__cache": "stream"}, None),
    ],
)
def test_what_cannot_be_stacked_says_why(settings, reason, tmp_path):
    resolved = resolve(
        data="digits", settings=settings | {"seeds": 2, "run__stack": "always"}, environ={}
    )
    task = prepare(resolve(data="digits", settings=settings, environ={}), e.Events()).task
    found = why_not(task, 2)
    if reason is None:
        assert found is None  # the digits are in memory whatever is asked
        return
    assert reason in str(found)
    with pytest.raises(SettingError, match="cannot be trained as one stack"):
        training.train(resolved, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_trial_leaves_the_networks_as_they_were():
    with reproducible():
        tasks = tasks_of(2, model="mlp", model__hidden=[16], run__ema=0.9)
        before = [copy.deepcopy((t.weights(), t.state())) for t in tasks]
        choice = try_both(tasks, same_loss=True)
        assert choice.ratio is not None
        for task, (weights, state) in zip(tasks, before, strict=True):
            assert all(torch.equal(weights[name], each) for name, each in task.weights().items())
            after = task.state()
            assert after["optimizer"] == state["optimizer"]
            assert after["average"]["updates"] == 0


def test_a_network_that_a_stack_trains_otherwise_is_not_stacked():
    with reproducible():
        tasks = tasks_of(2, model="mlp", model__hidden=[16])
        tasks[1].gradients.loss = lambda logits, target: (
            2 * torch.nn.functional.cross_entropy(logits, target)
        )
        choice = try_both(tasks, same_loss=True)
    assert not choice.stacked
    assert "same numbers" in str(choice.why)


def digits(**settings):
    base = {"model": "mlp", "model__hidden": [16], "epochs": 2, "seed": 3, "seeds": 3,
            "optim": "sgd", "optim__lr": 0.05}  # fmt: skip
    return resolve(data="digits", settings=base | settings, environ={})


def lines(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


def assert_close_runs(left, right):
    for mine, theirs in zip(lines(left), lines(right), strict=True):
        assert list(mine) == list(theirs)
        for name, value in mine.items():
            if name == "best":
                assert theirs[name] == value
            else:
                assert theirs[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks") / "whole"
    training.train(digits(run__stack="always"), run_dir=folder)
    return folder


def test_a_stack_leaves_the_folders_that_one_by_one_leaves(stacked, tmp_path):
    training.train(digits(run__stack="never"), run_dir=tmp_path / "alone")
    assert Run(stacked).info["stack"]["stacked"] is True
    assert Run(tmp_path / "alone").info["stack"]["stacked"] is False
    for each in seed_runs(Run(stacked)):
        other = tmp_path / "alone" / each.run.path.name
        assert_close_runs(other, each.run.path)
        assert each.run.info["steps"] == 40
        for name in ("report.html", "model.json", "evidence/test.npz", "samples/first-batch.npz"):
            assert (each.run.path / name).is_file()
        mine, theirs = (read_weights(p / "best.safetensors") for p in (each.run.path, other))
        for name, weight in mine.items():
            torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-5)


def test_a_seed_of_a_stack_resumes_as_an_ordinary_run(stacked, tmp_path):
    import shutil

    folder = tmp_path / "seed-4"
    shutil.copytree(stacked / "seed-4", folder)
    longer = training.train(None, resume=str(folder), asked={"epochs": 3})
    assert longer.epochs == 3
    assert len(lines(folder)) == 3


def test_a_stack_stopped_by_a_signal_goes_on_to_the_same_numbers(stacked, tmp_path):
    def stop_at_seven(event):
        if isinstance(event, e.StepEnded) and event.step == 7:
            signal.raise_signal(signal.SIGTERM)

    folder = tmp_path / "parted"
    with pytest.raises(InterruptedRunError, match="after step 7") as caught:
        training.train(digits(run__stack="always"), run_dir=folder, listeners=[stop_at_seven])
    assert caught.value.exit_code == 143
    assert str(caught.value).endswith(f"--resume {folder}")
    assert {each.status for each in seed_runs(Run(folder))} == {"interrupted"}
    heard = []
    training.train(None, resume=str(folder), listeners=[heard.append])
    (started,) = [each for each in heard if isinstance(each, e.RunStarted)]
    assert (started.step, started.resumed) == (7, "exact")
    for each in seed_runs(Run(folder)):
        assert lines(each.run.path) == lines(stacked / each.run.path.name)


def test_a_stack_killed_at_any_time_goes_on_from_a_step_that_all_have(stacked, tmp_path):
    folder = tmp_path / "killed"
    script = f"""
import os, signal
from pathlib import Path
from netwright.tasks import training
from netwright.tasks.settings import resolve
from netwright.train.checkpoints import Checkpoints

real, saves = Checkpoints.save, []

def save(self, *args, **kwargs):
    saves.append(args)
    if len(saves) == 3 * 8 + 3:  # two of three seeds have saved what is the eighth step
        os.kill(os.getpid(), signal.SIGKILL)
    path = real(self, *args, **kwargs)
    self.wait()
    return path

Checkpoints.save = save
settings = ["model=mlp", "epochs=2", "model.hidden=[16]", "seed=3", "seeds=3", "run.stack=always",
            "optim=sgd", "optim.lr=0.05", "run.checkpoint_every=1"]
resolved = resolve(data="digits", settings=settings, environ={{}})
training.train(resolved, run_dir=Path({str(folder)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    newest = [max(path.name for path in (folder / f"seed-{n}" / "ckpt").iterdir()) for n in (3, 5)]
    assert newest == ["step-000000008", "step-000000007"]
    heard = []
    training.train(None, resume=str(folder), listeners=[heard.append])
    (started,) = [each for each in heard if isinstance(each, e.RunStarted)]
    assert (started.step, started.resumed) == (7, "exact")
    assert {each.status for each in seed_runs(Run(folder))} == {"done"}
    for each in seed_runs(Run(folder)):
        assert lines(each.run.path) == lines(stacked / each.run.path.name)


def test_a_seed_of_a_stack_that_diverges_does_not_lose_the_others(stacked, tmp_path, monkeypatch):
    real = Stack.take

    def take(self, batches, step):
        if step == 5 and len(self.tasks) == 3:
            with torch.no_grad():
                next(self.tasks[1].model.parameters()).fill_(math.inf)
        return real(self, batches, step)

    monkeypatch.setattr(Stack, "take", take)
    folder = tmp_path / "run"
    # The trial would meet the broken step as well, so the choice is made for it.
    monkeypatch.setattr("netwright.tasks.seeds_together.try_both", _always)
    with pytest.raises(DivergedError, match="1 of 3 seeds diverged: 4"):
        training.train(digits(run__stack="always"), run_dir=folder)
    assert [each.status for each in seed_runs(Run(folder))] == ["done", "diverged", "done"]
    assert (folder / "seed-4" / "evidence" / "nonfinite-step-000000005.json").is_file()
    assert "step 5" in Run(folder / "seed-4").info["why"]
    for seed in (3, 5):
        assert_close_runs(stacked / f"seed-{seed}", folder / f"seed-{seed}")


def _always(tasks, *, same_loss):
    from netwright.core.languages import Phrase
    from netwright.tasks.stack_trial import Choice

    return Choice(stacked=True, why=Phrase("run.stack asks for it"), ratio=0.5)


def test_early_stopping_ends_each_seed_of_a_stack_by_itself(tmp_path, monkeypatch):
    settings = {"epochs": 6, "run__early_stop": 1, "optim__lr": 0.5}
    training.train(digits(run__stack="always", **settings), run_dir=tmp_path / "stack")
    training.train(digits(run__stack="never", **settings), run_dir=tmp_path / "alone")
    for each in seed_runs(Run(tmp_path / "stack")):
        other = Run(tmp_path / "alone" / each.run.path.name)
        assert each.run.info["epochs"] == other.info["epochs"]
        assert each.run.info["why"] == other.info["why"]


def test_the_trial_decides_and_the_run_says_so(tmp_path):
    heard = []
    made = training.train(digits(epochs=1), run_dir=tmp_path / "run", listeners=[heard.append])
    stack = made.run.info["stack"]
    assert isinstance(stack["stacked"], bool)
    assert stack["ratio"] > 0
    templates = [each.template for each in heard if isinstance(each, e.Noted)]
    way = "one stack" if stack["stacked"] else "one by one"
    assert sum(f"trained as {way}" in t or f"trained {way}" in t for t in templates) == 1
    assert f"trained as {way}" in page_of(made) or f"trained {way}" in page_of(made)


def page_of(made):
    return made.report.read_text(encoding="utf-8")
