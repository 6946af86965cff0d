"""Training with mixed images: exact resumes, both labels in the loss, pictures of what is done."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import InterruptedRunError, SettingError
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.assembling import settings_schema
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights

AUG = {"aug__rotate": 10, "aug__noise": 0.05, "aug__mixup": 0.4, "aug__cutmix": 1.0}


def digits(**settings):
    base = {"model": "mlp", "epochs": 2, "model__hidden": [16], "batch": 64}
    return resolve(data="digits", settings=base | AUG | settings, environ={})


def lines(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


def last_weights(folder):
    newest = sorted((folder / "ckpt").glob("step-*"))[-1]
    return read_weights(newest / "weights.safetensors")


class StopAt:
    """A listener that ends the process's work in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.StepEnded) and event.step == self.step:
            import signal

            signal.raise_signal(signal.SIGTERM)


def test_a_run_with_mixing_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    training.train(digits(), run_dir=whole)
    with pytest.raises(InterruptedRunError):
        training.train(digits(), run_dir=broken, listeners=[StopAt(13)])
    training.train(None, resume=str(broken))
    assert lines(broken) == lines(whole)
    expected, found = last_weights(whole), last_weights(broken)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_loss_and_the_accuracy_of_a_step_are_those_of_both_labels(tmp_path):
    seen = []
    training.train(digits(steps=6), run_dir=tmp_path / "run", listeners=[seen.append])
    batches = [each.batch for each in seen if isinstance(each, e.StepEnded)]
    assert all(batch.second is not None and 0.5 <= batch.share <= 1 for batch in batches)
    assert len({batch.share for batch in batches}) == len(batches)


def test_the_pictures_of_what_each_augmentation_does_are_written_once(tmp_path):
    training.train(digits(steps=1), run_dir=tmp_path / "run")
    arrays = Run(tmp_path / "run").augmentations()
    assert arrays["names"].tolist() == ["rotate", "noise", "mixup", "cutmix"]
    assert arrays["amounts"].tolist() == ["10", "0.05", "0.4", "1"]
    assert arrays["images"].shape[1:] == (8, 8, 3)
    assert arrays["target"].shape == (len(arrays["images"]),)
    for number in range(2):
        draws = arrays[f"draws-{number}"]
        assert draws.dtype == np.uint8
        assert arrays[f"of-{number}"].tolist() == [0] * 5 + [1] * 5
        assert len(np.unique(draws, axis=0)) == len(draws)
    for number in (2, 3):
        assert len(arrays[f"draws-{number}"]) == len(arrays[f"second-{number}"])
        assert np.all(arrays[f"share-{number}"] <= 1)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "aug.rotate" in page
    assert len(page) < 1_000_000


def test_a_run_without_augmentation_has_no_such_pictures(tmp_path):
    resolved = resolve(data="digits", settings={"model": "mlp", "steps": 1}, environ={})
    training.train(resolved, run_dir=tmp_path / "run")
    assert Run(tmp_path / "run").augmentations() is None
    assert "aug." not in (tmp_path / "run" / "report.html").read_text().partition("<nav")[0]


def test_the_schema_completes_every_augmentation():
    inner = settings_schema()["properties"]["aug"]["anyOf"][0]["properties"]
    assert {"rotate", "crop_resize", "trivial", "mixup"} <= set(inner)


def test_faults_in_several_augmentations_are_told_together():
    with pytest.raises(SettingError, match=r"aug\.rotate: 200 is not allowed"):
        digits(aug__rotate=200)
