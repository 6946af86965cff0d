"""Training with mixed images: exact resumes, both labels in the loss, pictures of what is done."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import InterruptedRunError, SettingError
from netwright.data.dataset import MemoryImages, UnreadableImageError
from netwright.data.preprocessing import Preprocessing
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.assembling import settings_schema
from netwright.tasks.augmentation_pictures import show_augmentations
from netwright.tasks.preparing import prepare
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


def test_the_loss_and_the_accuracy_of_a_step_are_those_of_both_labels():
    task = prepare(digits(steps=3), e.Events()).task
    shares, right = set(), 0
    for step, batch in enumerate(task.feed(0)):
        logits = task.model(batch.images).detach()
        first, second = (
            torch.nn.functional.cross_entropy(logits, each).item()
            for each in (batch.target, batch.second)
        )
        values = task.step(batch, step)
        expected = batch.share * first + (1 - batch.share) * second
        assert float(values["loss"]) == pytest.approx(expected, rel=1e-5)
        right += int((logits.argmax(1) == batch.target).sum())
        assert 0.5 <= batch.share <= 1
        shares.add(batch.share)
    assert len(shares) == 3
    assert task.tally.take() == right / (3 * 64)  # the label with the larger share counts


@pytest.mark.parametrize("weights", ["none", "balanced", [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]])
def test_mixed_batches_in_parts_are_the_batch_as_a_whole(weights):
    losses = []
    for batch, passes in ((60, 1), (5, 12)):
        settings = {"steps": 4, "batch": batch, "optim__accumulate": passes}
        chosen = {"loss__class_weights": weights, "optim": "sgd"}
        task = prepare(digits(**settings, **chosen), e.Events()).task
        feed = task.feed(0)
        losses.append([float(task.step(batch, step)["loss"]) for step, batch in enumerate(feed)])
    assert losses[0] == pytest.approx(losses[1], rel=2e-6)


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
    assert (inner["rotate"]["minimum"], inner["rotate"]["maximum"]) == (0, 180)


@pytest.mark.parametrize("loss", ["focal", "mse", "hinge", "cross_entropy"])
def test_a_run_with_mixing_takes_any_loss(tmp_path, loss):
    made = training.train(digits(steps=2, loss=loss), run_dir=tmp_path / "run")
    assert made.status == "done"


def test_float_images_are_augmented_mixed_and_shown(tmp_path):
    (tmp_path / "floats.py").write_text(
        "import torch\n\ndef make():\n"
        "    x, y = torch.rand(60, 3, 9, 7), torch.arange(60) % 3\n"
        "    return (x, y), (x[:12], y[:12])\n"
    )
    resolved = resolve(
        data=f"{tmp_path}/floats.py:make",
        settings={"model": "mlp", "epochs": 1, "batch": 20, "aug__trivial": True} | AUG,
        environ={},
    )
    training.train(resolved, run_dir=tmp_path / "run")
    arrays = Run(tmp_path / "run").augmentations()
    assert arrays["draws-1"].shape[1:] == (9, 7, 3)
    assert arrays["images"].std() > 20  # not the normalised floats cut off at 0 and 1


def test_a_set_of_one_class_and_one_image_can_be_shown(tmp_path):
    images = MemoryImages(torch.zeros(1, 1, 5, 5, dtype=torch.uint8), np.array([0]))
    preprocessing = Preprocessing(channels=1, size=(5, 5), mean=(0.0,), std=(1.0,))
    show_augmentations(
        tmp_path, {"flip": True, "mixup": 1.0}, images, preprocessing=preprocessing, seed=0
    )
    arrays = Run(tmp_path).augmentations()
    assert len(arrays["draws-0"]) == 1  # nothing to see, and that is shown
    assert len(arrays["draws-1"]) == 0  # no partner


def test_an_image_that_cannot_be_read_is_not_shown(tmp_path):
    class Torn:
        labels = np.array([0, 0, 1])
        shape, in_memory = (1, 5, 5), False

        def __len__(self):
            return 3

        def read(self, i):
            if i == 0:
                raise UnreadableImageError("Cannot read {name}: {reason}.", name=i, reason="torn")
            return torch.full((1, 5, 5), 50 * i, dtype=torch.uint8)

    preprocessing = Preprocessing(channels=1, size=(5, 5), mean=(0.0,), std=(1.0,))
    show_augmentations(tmp_path, {"noise": 0.1}, Torn(), preprocessing=preprocessing, seed=0)
    arrays = Run(tmp_path).augmentations()
    assert arrays["images"][:, 0, 0, 0].tolist() == [100, 50]
    assert arrays["target"].tolist() == [1, 0]


def test_a_fault_in_an_augmentation_is_told_with_all_others():
    with pytest.raises(SettingError, match=r"(?s)epochs: -1.*aug\.rotate: 200 is not allowed"):
        digits(aug__rotate=200, epochs=-1)
