"""`sched.watch=train/loss`: a schedule that answers to the training, and a resume that knows."""

from __future__ import annotations

import json
import signal
from types import SimpleNamespace

import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import InterruptedRunError, SettingError
from netwright.optim.schedules import SCHEDULES
from netwright.optim.schedules.plateau import Plateau, PlateauOptions
from netwright.tasks import preparing, training
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights

WATCHING = {
    "model": "mlp", "model__hidden": [8], "batch": 16, "epochs": 9, "optim": "sgd",
    "optim__lr": 1.0, "sched": "plateau", "sched__watch": "train/loss", "sched__patience": 0,
    "sched__gamma": 0.5,
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """Classes that overlap, so that the loss does not fall for ever."""
    (tmp_path / "noisy.py").write_text(
        "import torch\n\ndef make():\n"
        "    g = torch.Generator().manual_seed(0)\n"
        "    y = torch.arange(160) % 4\n"
        "    x = y.float()[:, None, None, None] + 2 * torch.rand(160, 1, 4, 4, generator=g)\n"
        "    return (x, y), (x[:8], y[:8])\n"
    )
    return f"{tmp_path}/noisy.py:make"


def recipe(data, **settings):
    return resolve(data=data, settings=WATCHING | settings, environ={})


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder):
    return read_weights(max((folder / "ckpt").glob("step*")) / "weights.safetensors")


def test_the_rate_answers_to_the_mean_training_loss_of_each_epoch(data, tmp_path):
    training.train(recipe(data), run_dir=tmp_path / "run")
    told = lines(tmp_path / "run")
    watcher = Plateau(PlateauOptions(watch="train/loss", patience=0, gamma=0.5))
    factors = [1.0] + [watcher.observe(line["train/loss"]) for line in told]
    # A line tells the rate of the steps before it, which answers to the lines before that.
    assert [line["lr/g0"] for line in told] == factors[:-1]
    assert factors[-2] < 1


@pytest.mark.parametrize("at", [44, 40])
def test_an_interrupted_run_equals_the_whole_one(data, tmp_path, at):
    """In the middle of the fifth epoch of ten steps, and between two."""
    training.train(recipe(data), run_dir=tmp_path / "whole")

    def stop(event):
        if isinstance(event, e.StepEnded) and event.step == at:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        training.train(recipe(data), run_dir=tmp_path / "parted", listeners=[stop])
    training.train(None, resume=str(tmp_path / "parted"))

    def told(folder):
        return [{k: v for k, v in line.items() if "time" not in k} for line in lines(folder)]

    assert told(tmp_path / "parted") == told(tmp_path / "whole")
    left, right = weights(tmp_path / "whole"), weights(tmp_path / "parted")
    assert all(torch.equal(left[each], right[each]) for each in left)


def test_what_is_not_measured_is_refused_with_the_way_out():
    unsplit = SimpleNamespace(splits={"train": None})
    plateau = SCHEDULES.get("plateau")
    with pytest.raises(SettingError, match=r'"val/loss" is not measured(.|\n)*watch=train/loss'):
        preparing._watcher(plateau, PlateauOptions(), unsplit)
    assert preparing._watcher(plateau, PlateauOptions(watch="train/loss"), unsplit) is not None
