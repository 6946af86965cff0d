"""A run folder is all that use needs; code inside it runs only when that is safe."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.core.errors import CheckpointError, DataError, SettingError
from netwright.core.factories import file_hash
from netwright.tasks import training
from netwright.tasks.settings import resolve


def test_evaluation_takes_test_where_there_is_one(run):
    found = nw.load(run).evaluate()
    assert (found.split, found.count) == ("test", 359)
    assert set(found.metrics) == {"loss", "acc1", "acc5"}
    assert found.metrics["acc1"] > 0.7


def test_evaluation_agrees_with_what_training_saw(run):
    recorded = json.loads((run / "run.json").read_text())["best"]
    assert nw.load(run).evaluate(split="val").metrics["acc1"] == pytest.approx(recorded["value"])


def test_an_unknown_split_is_answered_with_the_known_ones(run):
    with pytest.raises(SettingError, match="Nearest: test"):
        nw.load(run).evaluate(split="tset")


def test_predictions_are_the_argmax_of_the_network(run, tmp_path):
    images = []
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        images.append(torch.from_numpy(pixels)[None])
    network = nw.load(run)
    logits = network(torch.stack(images))
    found = network.predict(tmp_path).images
    assert [each.label for each in found] == [str(i) for i in logits.argmax(1).tolist()]
    probabilities = logits.softmax(1)
    for each, row in zip(found, probabilities, strict=True):
        best = row.sort(descending=True).values
        assert each.probability == pytest.approx(float(best[0]), abs=1e-6)
        assert each.margin == pytest.approx(float(best[0] - best[1]), abs=1e-6)
        assert len(each.top) == 3


def test_an_unreadable_image_is_one_answer_among_the_others(run, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    found = nw.load(run).predict([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"])
    assert [bool(each.error) for each in found.images] == [False, True, True]
    assert found.to_json()["images"][1]["error"]


def test_a_run_is_used_from_a_copy_elsewhere(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    assert nw.load(moved).evaluate().metrics == nw.load(run).evaluate().metrics


def test_weights_that_are_damaged_are_named(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    data = bytearray((moved / "best.safetensors").read_bytes())
    data[-3] ^= 4
    (moved / "best.safetensors").unlink()
    (moved / "best.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="hash"):
        nw.load(moved)


def test_a_run_without_weights_says_how_to_go_on(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    (moved / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match="--resume"):
        nw.load(moved)


@pytest.mark.parametrize("damage", ["gone", "flipped"])
def test_resuming_a_finished_run_puts_its_weights_back(run, tmp_path, damage):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    good = (moved / "best.safetensors").read_bytes()
    (moved / "best.safetensors").unlink()
    if damage == "flipped":
        (moved / "best.safetensors").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    training.train(None, resume=str(moved))
    assert (moved / "best.safetensors").read_bytes() == good
    shutil.rmtree(moved / "ckpt")
    (moved / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match="are lost"):
        training.train(None, resume=str(moved))


def test_other_data_are_matched_by_class_name_never_by_order(run, tmp_path):
    for label in ("7", "3"):
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("L", (8, 8), number).save(tmp_path / label / f"{number}.png")
    found = nw.load(run).evaluate(str(tmp_path))
    assert found.count == 6
    (tmp_path / "zebra").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "zebra" / "1.png")
    with pytest.raises(DataError, match="zebra"):
        nw.load(run).evaluate(str(tmp_path))


NET = """
from torch import nn

def make(num_classes, input_size, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_size[0] * input_size[1], width), nn.ReLU(),
                         nn.Linear(width, num_classes))
"""


@pytest.fixture
def own(tmp_path):
    """A run of a network from the user's own file, and that file."""
    file = tmp_path / "net.py"
    file.write_text(NET)
    resolved = resolve(
        data="digits", model=f"{file}:make", settings={"epochs": 1, "model__width": 6}, environ={}
    )
    made = training.train(resolved, run_dir=tmp_path / "run")
    return made.run.path, file


def test_the_users_own_file_is_run_while_it_is_the_same(own):
    folder, file = own
    assert nw.load(folder).module[1].out_features == 6
    assert (folder / "code" / "net.py").read_text() == NET
    file.write_text(NET + "\nraise RuntimeError('must not run')\n")
    with pytest.raises(SettingError, match="--trust-code"):
        nw.load(folder)
    assert nw.load(folder, trust_code=True).module[1].out_features == 6, "the copy"


def _forged(run, target, **architecture):
    """A copy of a run whose model.json says other things about its code."""
    shutil.copytree(run, target)
    facts = json.loads((target / "model.json").read_text())
    facts["architecture"] |= architecture
    (target / "model.json").write_text(json.dumps(facts))
    return target


@pytest.mark.parametrize("vouched", ["its own module", "any file", "a file inside the run"])
@pytest.mark.parametrize("spec", ["os:system", "subprocess:getoutput", "code/x.py:getoutput"])
def test_no_run_folder_can_vouch_for_code_of_its_own(own, tmp_path, monkeypatch, spec, vouched):
    folder, file = own
    bad = tmp_path / "bad"
    (folder / "code" / "x.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\n")
    origin = {
        "its own module": subprocess.__file__,
        "any file": str(file),
        "a file inside the run": str(bad / "code" / "x.py"),
    }[vouched]
    command = f"touch {tmp_path}/owned"
    _forged(
        folder, bad, name=spec, factory=spec.replace("code", str(bad / "code")), origin=origin,
        sha256=file_hash(Path(origin.replace(str(bad), str(folder)))),
        options={"command": command, "cmd": command},
    )  # fmt: skip
    monkeypatch.chdir(bad)
    with pytest.raises(SettingError, match="--trust-code"):
        nw.load(bad)
    assert not (tmp_path / "owned").exists()


def test_code_is_known_by_its_file_its_content_and_its_name(own, cache, tmp_path):
    folder, file = own
    assert nw.load(folder)
    other = _forged(folder, tmp_path / "other", factory=f"{file}:getattr")
    with pytest.raises(SettingError, match="--trust-code"):
        nw.load(other)
    (cache / "code.txt").rename(cache / "elsewhere.txt")  # another user, another computer
    with pytest.raises(SettingError, match="--trust-code"):
        nw.load(folder)
    (cache / "elsewhere.txt").rename(cache / "code.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": None}, "architecture is missing or damaged"),
        ({"architecture": {"name": "mlp", "options": "x"}}, "options is missing or damaged"),
        ({"architecture": {"a": 1}}, "architecture is missing"),
        ({"classes": []}, "classes is missing"),
        ({"classes": "abc"}, "classes is missing"),
        ({"input": 3}, "input is missing"),
    ],
)
def test_a_model_json_that_describes_nothing_is_told(run, tmp_path, change, message):
    shutil.copytree(run, tmp_path / "bad")
    facts = json.loads((tmp_path / "bad" / "model.json").read_text())
    (tmp_path / "bad" / "model.json").write_text(json.dumps(facts | change))
    with pytest.raises(DataError, match=message):
        nw.load(tmp_path / "bad")


@pytest.mark.parametrize("size", [[10**9, 10**9], [4096, 4096]])
def test_a_lie_about_the_image_size_is_found_before_memory_is_taken(run, tmp_path, size):
    shutil.copytree(run, tmp_path / "bad")
    facts = json.loads((tmp_path / "bad" / "model.json").read_text())
    facts["input"]["size"] = size
    (tmp_path / "bad" / "model.json").write_text(json.dumps(facts))
    with pytest.raises((DataError, SettingError), match=r"input.size|do not fit"):
        nw.load(tmp_path / "bad")


def test_a_foreign_config_cannot_run_code_as_its_data(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    bad = tmp_path / "bad.py"
    bad.write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\ndef make(): pass\n")
    config = (moved / "config.yaml").read_text().replace('"digits"', f'"{bad}:make"')
    (moved / "config.yaml").write_text(config)
    with pytest.raises(SettingError, match="--trust-code"):
        nw.load(moved).evaluate()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def make(): return 3", "expected a torch.nn.Module"),
        ("import torch\ndef make(): return torch.nn.Flatten()", "expected logits of shape"),
        ("def make(size): return 3", "needs size"),
        ("def make(): raise ValueError('no luck')", "no luck"),
        ("import sys\ndef make(): sys.exit(0)", "SystemExit"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("make = 3", "expected a function or class"),
        ("def maker(): return 3", "Nearest: maker"),
        ("def make(:", "Importing .* failed with SyntaxError"),
        ("import nothing_of_that_name", "Importing .* failed with ModuleNotFoundError"),
        (
            "import torch\ndef make():\n    return torch.nn.Linear(5, 5)",
            "cannot take images of 1x8x8",
        ),
    ],
)
def test_a_factory_that_does_not_fit_is_told_what_was_expected(tmp_path, text, message):
    file = tmp_path / "net.py"
    file.write_text(text)
    with pytest.raises(SettingError, match=message):
        nw.train("digits", model=f"{file}:make", epochs=1, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_setting_the_factory_lacks_is_refused_by_name(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(NET)
    with pytest.raises(SettingError, match=r"no \"witdh\"[\s\S]*Did you mean width"):
        nw.train("digits", model=f"{file}:make", model__witdh=3, run_dir=tmp_path / "run")
