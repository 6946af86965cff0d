"""A run becomes a file: its evaluated weights, checked on real images, kept only if it holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.core.errors import CheckFailedError, DataError, SettingError
from netwright.export.formats import FORMATS, onnx
from netwright.tasks import training
from netwright.tasks.exporting import export
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights


@pytest.fixture
def moved(run, tmp_path):
    """The run, far from its data."""
    folder = tmp_path / "moved"
    shutil.copytree(run, folder)
    config = (folder / "config.yaml").read_text().replace('"digits"', '"gone/"')
    (folder / "config.yaml").write_text(config)
    return folder


def test_a_run_becomes_a_program_that_says_what_predict_says(run, tmp_path):
    network = nw.load(run)
    exported = network.export(tmp_path / "a.pt2")
    assert (exported.path, exported.kind, exported.source) == (
        tmp_path / "a.pt2", "torch-export", "validation",
    )  # fmt: skip
    assert (exported.parity.images, exported.parity.agree) == (64, 64)
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    logits, _ = torch.export.load(tmp_path / "a.pt2").module()(images)
    assert torch.equal(logits, network(images))


def test_the_onnx_file_is_used_by_the_lines_that_are_shown(run, tmp_path, monkeypatch, capsys):
    """Also with its weights beside it, as a network above 1.5 GB has them."""
    monkeypatch.setattr(onnx, "LARGEST_INSIDE", 0)
    pixels = np.random.default_rng(0).integers(0, 255, (9, 12), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    exported = nw.load(run).export("b.onnx")
    assert exported.parity.max_abs_logits < 1e-4
    assert (exported.bytes, exported.opset) == (
        sum(Path(name).stat().st_size for name in ("b.onnx", "b.onnx.data")), 20,
    )  # fmt: skip
    assert Path("b.onnx").stat().st_size < 50_000 < Path("b.onnx.data").stat().st_size
    for name in ("b.onnx", "b.onnx.data", "a.png"):
        shutil.move(name, "there")
    monkeypatch.chdir("there")
    capsys.readouterr()
    exec("\n".join(exported.example), {})
    assert capsys.readouterr().out.strip() == nw.load(run).predict("a.png").images[0].label


def test_the_weights_that_are_exported_are_the_evaluated_ones(tmp_path):
    settings = {"steps": 12, "batch": 16, "run.ema": 0.9, "model.dropout": 0.5}
    made = training.train(
        resolve(data="digits", model="mlp", settings=settings, environ={}),
        run_dir=tmp_path / "run",
    )
    network = nw.load(made.run.path)
    network.module.train()  # whoever holds it may do so; dropout stays out of the file
    network.export(tmp_path / "a.safetensors")
    assert network.module.training
    best = read_weights(made.run.path / "best.safetensors")
    found = read_weights(tmp_path / "a.safetensors")
    assert best.keys() == found.keys()
    assert all(torch.equal(best[name], found[name]) for name in best)
    assert network.export(tmp_path / "a.pt2").parity.max_abs_logits == 0


def test_the_document_has_its_fixed_keys(run, tmp_path):
    document = nw.load(run).export(tmp_path / "a.pt2").to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document.keys() >= {
        "format", "run", "file", "kind", "bytes", "input", "outputs", "parity", "versions",
    }  # fmt: skip
    assert document["parity"].keys() >= {
        "images", "max_abs_logits", "max_abs_probability", "agree",
    }  # fmt: skip
    assert document["input"] == {"name": "images", "dtype": "uint8", "shape": ["batch", 1, 8, 8]}
    assert [each["name"] for each in document["outputs"]] == ["logits", "probabilities"]
    assert document["bytes"] == (tmp_path / "a.pt2").stat().st_size


def test_the_facts_of_the_run_are_in_the_file_and_no_path_of_it(run, tmp_path):
    facts = {"netwright.json": ""}
    nw.load(run).export(tmp_path / "a.pt2")
    torch.export.load(tmp_path / "a.pt2", extra_files=facts)
    found = json.loads(facts["netwright.json"])
    assert json.loads(found["classes"]) == [str(number) for number in range(10)]
    assert json.loads(found["input"])["mean"] == list(nw.load(run).preprocessing.mean)
    assert json.loads(found["architecture"])["name"] == "mlp"
    assert found["run"] == "digits"
    assert "UCI" in found["attribution"]
    assert str(run) not in facts["netwright.json"]


def test_without_its_data_a_run_is_checked_on_the_images_it_keeps(moved, tmp_path):
    notes = []
    found = export(str(moved), tmp_path / "a.pt2", announce=notes.append)
    assert found.source == "kept in the run"
    assert found.parity.images > 0
    (note,) = notes
    assert note.word == "NOTE"
    assert "gone/" in str(note.values["reason"])


def test_without_any_image_it_says_how_to_name_some(moved, tmp_path):
    shutil.rmtree(moved / "evidence")
    shutil.rmtree(moved / "samples")
    with pytest.raises(SettingError, match=r"no real image[\s\S]*--images PATH"):
        export(str(moved), tmp_path / "a.pt2")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    found = export(str(moved), tmp_path / "a.pt2", images=[tmp_path / "b.png", tmp_path / "a.png"])
    assert (found.source, found.parity.images) == ("given", 1)
    with pytest.raises(DataError, match="None of the 1 images"):
        export(str(moved), tmp_path / "b.pt2", images=[tmp_path / "b.png"])


def test_a_run_of_float_data_takes_floats(tmp_path):
    (tmp_path / "data.py").write_text(
        "import torch\n\ndef make():\n    y = torch.arange(80) % 4\n"
        "    x = y.float()[:, None, None, None] + torch.rand(80, 1, 8, 8)\n"
        "    return (x, y), (x[:16], y[:16])\n"
    )
    resolved = resolve(
        data=f"{tmp_path}/data.py:make", model="mlp", settings={"epochs": 1}, environ={}
    )
    made = training.train(resolved, run_dir=tmp_path / "run")
    found = export(str(made.run.path), tmp_path / "a.pt2")
    assert found.input["dtype"] == "float32"
    assert found.parity.max_abs_logits == 0


@pytest.mark.parametrize("fault", ["wrong", "broken"])
def test_a_file_that_is_not_the_network_is_not_kept(run, tmp_path, monkeypatch, fault):
    def opens(path, given):
        if fault == "broken":
            raise RuntimeError("no such operator\nat node 7")
        return lambda images: (torch.zeros(len(images), 10), torch.full((len(images), 10), 0.1))

    entry = FORMATS.get("torch-export")
    changed = dict(entry.facts) | {"opens": opens}
    monkeypatch.setitem(FORMATS._entries, "torch-export", _with(entry, changed))
    (tmp_path / "a.pt2").write_text("old")
    message = {"wrong": "does not compute what", "broken": "does not run in torch.*operator$"}
    with pytest.raises(CheckFailedError, match=message[fault]):
        nw.load(run).export(tmp_path / "a.pt2", overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt2"]
    assert (tmp_path / "a.pt2").read_text() == "old"


def _with(entry, facts):
    from types import MappingProxyType

    from netwright.core.registry import Entry

    return Entry(name=entry.name, target=entry.target, facts=MappingProxyType(facts))


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, input_size, branch=False):
        super().__init__()
        self.fc = nn.Linear(input_size[0] * input_size[1], num_classes)
        self.branch = branch

    def forward(self, x):
        print("in forward")
        x = self.fc(x.flatten(1))
        if self.branch and x.sum() > 0:
            x = x * 2
        return x
"""


@pytest.mark.parametrize("branch", [False, True])
def test_a_network_of_the_users_own_is_exported_if_torch_can_record_it(tmp_path, branch, capsys):
    (tmp_path / "net.py").write_text(NET)
    resolved = resolve(
        data="digits", model=f"{tmp_path}/net.py:Net", environ={},
        settings={"steps": 3, "model.branch": branch},
    )  # fmt: skip
    made = training.train(resolved, run_dir=tmp_path / "run")
    capsys.readouterr()
    if branch:
        with pytest.raises(SettingError, match=r"data-dependent expression.*net.py:13\)"):
            export(str(made.run.path), tmp_path / "a.pt2")
        assert not (tmp_path / "a.pt2").exists()
        return
    assert export(str(made.run.path), tmp_path / "a.pt2").parity.max_abs_logits == 0
    assert capsys.readouterr().out == "", "what the network prints is not the result"
    (tmp_path / "net.py").write_text(NET + "\n# changed\n")
    with pytest.raises(SettingError, match="--trust-code"):
        export(str(made.run.path), tmp_path / "b.pt2")
    assert export(str(made.run.path), tmp_path / "b.pt2", trust_code=True).parity.holds


def test_an_odd_count_of_operations_is_of_no_weight(moved, tmp_path):
    place = moved / "model.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"macs": "many"}))
    assert export(str(moved), tmp_path / "a.safetensors").parity.holds
