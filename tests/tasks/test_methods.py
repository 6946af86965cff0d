"""The methods of training work from a recipe: what a leaf promises happens in a run."""

from __future__ import annotations

import json
import signal

import pytest
import torch

import netwright as nw
from netwright.core import events as e
from netwright.core.errors import InterruptedRunError, SettingError
from netwright.optim.optimizers import OPTIMIZERS
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights


def recipe(**settings):
    base = {"model": "mlp", "model__hidden": [16], "epochs": 3}
    return resolve(data="digits", settings=base | settings, environ={})


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_learns_the_digits(tmp_path, name):
    epochs = {"gd": 60, "lbfgs": 12}.get(name, 10)
    rate = {} if name != "gd" else {"optim__lr": 0.5}
    resolved = recipe(optim=name, epochs=epochs, sched="constant", **rate)
    made = training.train(resolved, run_dir=tmp_path / "run")
    assert made.best["value"] > 0.5


def test_an_optimizer_for_whole_sets_takes_the_whole_set(tmp_path):
    seen = []
    training.train(recipe(optim="lbfgs", epochs=1), run_dir=tmp_path / "r", listeners=[seen.append])
    (step,) = [each for each in seen if isinstance(each, e.StepEnded)]
    assert len(step.batch.target) == 1294
    assert "batch: 1294" in (tmp_path / "r" / "config.yaml").read_text()


@pytest.mark.parametrize("loss", ["focal", "mse", "hinge", "dice", "bce_with_logits", "kl_div"])
def test_losses_train_a_classifier(tmp_path, loss):
    made = training.train(recipe(loss=loss, epochs=10, optim__lr=0.01), run_dir=tmp_path / "run")
    assert made.best["value"] > 0.5


def test_l1_leaves_weights_that_are_exactly_zero(tmp_path):
    settings = {"optim": "sgd", "optim__lr": 0.1, "sched": "constant", "run__select": "last"}
    training.train(recipe(optim__l1=0.03, **settings), run_dir=tmp_path / "l1")
    training.train(recipe(**settings), run_dir=tmp_path / "plain")
    shares = [
        float((read_weights(tmp_path / name / "best.safetensors")["1.weight"] == 0).float().mean())
        for name in ("l1", "plain")
    ]
    assert shares[0] > 0.2
    assert shares[1] < 0.01


def test_plateau_lowers_the_rate_and_a_resume_remembers_it(tmp_path):
    settings = {
        "optim": "sgd", "optim__lr": 0.5, "epochs": 8, "sched": "plateau", "sched__patience": 0,
    }  # fmt: skip
    training.train(recipe(**settings), run_dir=tmp_path / "whole")
    rates = [line["lr/g0"] for line in lines(tmp_path / "whole")]
    assert rates[-1] < rates[0]

    def stop(event):
        if isinstance(event, e.StepEnded) and event.step == 130:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        training.train(recipe(**settings), run_dir=tmp_path / "parted", listeners=[stop])
    training.train(None, resume=str(tmp_path / "parted"))
    assert [line["lr/g0"] for line in lines(tmp_path / "parted")] == rates
    left, right = (
        read_weights(next((tmp_path / name / "ckpt").glob("*160")) / "weights.safetensors")
        for name in ("whole", "parted")
    )
    assert all(torch.equal(left[each], right[each]) for each in left)


def test_an_initialiser_replaces_the_networks_own_start(tmp_path):
    training.train(recipe(init="zeros", steps=1, optim="sgd"), run_dir=tmp_path / "zeros")
    start = read_weights(next((tmp_path / "zeros" / "ckpt").glob("*0000")) / "weights.safetensors")
    assert all(not value.any() for value in start.values())
    made = training.train(recipe(init="lsuv", epochs=10), run_dir=tmp_path / "lsuv")
    assert made.best["value"] > 0.5
    with pytest.raises(SettingError, match="Nearest: lecun"):
        recipe(init="lecunn")


def test_oversampling_shows_each_class_as_often_as_the_others(tmp_path):
    (tmp_path / "skewed.py").write_text(
        "import torch\n\ndef make():\n"
        "    y = torch.tensor([0] * 90 + [1] * 10)\n"
        "    x = y.float()[:, None, None, None] + torch.rand(100, 1, 6, 6)\n"
        "    return (x, y), (x, y)\n"
    )
    seen = []
    resolved = resolve(
        data=f"{tmp_path}/skewed.py:make",
        settings={"model": "mlp", "epochs": 1, "batch": 20, "data__balance": "oversample"},
        environ={},
    )
    training.train(resolved, run_dir=tmp_path / "run", listeners=[seen.append])
    targets = torch.cat([each.batch.target for each in seen if isinstance(each, e.StepEnded)])
    assert abs(float(targets.float().mean()) - 0.5) < 0.05


def test_images_that_stand_in_two_splits_are_told_before_training(tmp_path):
    (tmp_path / "leak.py").write_text(
        "import torch\n\ndef make():\n"
        "    x, y = (torch.rand(40, 1, 6, 6) * 255).byte(), torch.arange(40) % 2\n"
        "    return (x, y), (x[:8], y[:8])\n"
    )
    made = nw.train(f"{tmp_path}/leak.py:make", model="mlp", epochs=1, batch=8,
                    run_dir=tmp_path / "run")  # fmt: skip
    notes = [each for each in Run(made.run.path).model["data"]["notes"] if each["word"] == "WARN"]
    assert any(8 in each["values"].values() for each in notes), notes
