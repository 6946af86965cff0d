"""Every format writes a file that another program runs, with the facts of the run inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.languages import say, speaking
from netwright.data.preprocessing import Preprocessing
from netwright.export.formats import FORMATS, find_format, refuse_missing_packages
from netwright.export.graph import self_contained
from netwright.export.parity import compare
from netwright.models import MODELS, build


def written(name, given, folder):
    entry = FORMATS.get(name)
    path = folder / f"a{entry.facts['suffix']}"
    entry.target(given, path)
    return path


@pytest.fixture(scope="module")
def onnx_file(given, tmp_path_factory):
    """Written once: it takes seconds."""
    return written("onnx", given, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def program_file(given, tmp_path_factory):
    return written("torch-export", given, tmp_path_factory.mktemp("program"))


def test_the_onnx_file_agrees_with_torch_for_every_batch(given, onnx_file, images, in_torch):
    found = compare(in_torch, FORMATS.get("onnx").facts["opens"](onnx_file, given), images)
    assert found.holds
    assert found.agree == 17
    assert found.max_abs_logits < 1e-5


def test_the_onnx_file_says_what_it_takes_and_who_made_it(onnx_file):
    import onnx

    model = onnx.load(onnx_file)
    (taken,), given = model.graph.input, model.graph.output
    assert taken.name == "images"
    assert taken.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    axes = [each.dim_param or each.dim_value for each in taken.type.tensor_type.shape.dim]
    assert axes == ["batch", 3, 6, 5]
    assert [each.name for each in given] == ["logits", "probabilities"]
    assert [each.type.tensor_type.shape.dim[0].dim_param for each in given] == ["batch", "batch"]
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    facts = {each.key: each.value for each in model.metadata_props}
    assert json.loads(facts["classes"]) == ["cat", "狗"]
    assert facts["format"] == "netwright/1"


def test_onnx_runtime_leaves_nothing_in_the_home_folder_and_calls_nobody(tmp_path):
    code = "from netwright.export.formats import FORMATS; len(FORMATS); import onnxruntime"
    spoken = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environ = {name: value for name, value in os.environ.items() if name not in spoken}
    subprocess.run([sys.executable, "-c", code], env=environ | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_dropout_is_off_and_nothing_is_trained_in_the_graph(onnx_file):
    import onnx

    kinds = {node.op_type for node in onnx.load(onnx_file).graph.node}
    assert "Dropout" not in kinds


def test_the_program_agrees_to_the_bit(given, program_file, images, in_torch):
    opens = FORMATS.get("torch-export").facts["opens"]
    found = compare(in_torch, opens(program_file, given), images)
    assert (found.max_abs_logits, found.agree) == (0, 17)


def test_the_program_runs_in_a_process_that_has_no_netwright(program_file, images, in_torch):
    np.save(program_file.with_name("images.npy"), images.numpy())
    code = (
        "import json, sys, numpy, torch\n"
        "sys.modules['netwright'] = None\n"
        "facts = {'netwright.json': ''}\n"
        "run = torch.export.load('a.pt2', extra_files=facts).module()\n"
        "logits, _ = run(torch.from_numpy(numpy.load('images.npy')))\n"
        "numpy.save('logits.npy', logits.detach().numpy())\n"
        "assert json.loads(facts['netwright.json'])['run'] == 'flowers'\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=program_file.parent, check=True
    )
    got = np.load(program_file.with_name("logits.npy"))
    np.testing.assert_allclose(got, in_torch(images)[0].numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["onnx_file", "program_file"])
def test_no_path_of_this_computer_is_in_a_file(kind, request):
    import zipfile

    path = request.getfixturevalue(kind)
    parts = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = [archive.read(each) for each in archive.namelist()]
    for part in parts:
        assert b"site-packages" not in part
        assert b".py" not in part
        assert str(Path(__file__).parents[2]).encode() not in part


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(90, 90), nn.Linear(90, 90)
        self.second.weight = self.first.weight
        self.last = nn.Linear(90, 2)

    def forward(self, x):
        return self.last(self.second(self.first(x.flatten(1)).relu()))


def test_a_weights_file_carries_ties_and_facts_and_reads_as_one_of_ours(make, images, tmp_path):
    from safetensors import safe_open

    from netwright.train.weights import read_weights

    given = make(Tied())
    path = written("safetensors", given, tmp_path)
    with safe_open(path, "pt") as file:
        facts, names = file.metadata(), set(file.keys())
    assert facts["format"] == "netwright/1"
    assert facts["run"] == "flowers"
    assert "second.weight" not in names
    weights = read_weights(path)
    assert {name: each.shape for name, each in weights.items()} == {
        name: each.shape for name, each in given.network.state_dict().items()
    }
    module = self_contained(given)
    with torch.no_grad():
        found = compare(
            lambda x: module(x), FORMATS.get("safetensors").facts["opens"](path, given), images
        )
        assert found.max_abs_logits == 0


def test_a_weights_file_that_lost_something_does_not_open(make, tmp_path):
    given = make(nn.Sequential(nn.Flatten(), nn.Linear(90, 2)))
    path = written("safetensors", make(nn.Flatten()), tmp_path)
    with pytest.raises(RuntimeError, match="Missing key"):
        FORMATS.get("safetensors").facts["opens"](path, given)


@pytest.mark.parametrize(
    ("path", "name", "wanted"),
    [
        ("a.onnx", None, "onnx"),
        ("a.ONNX", None, "onnx"),
        ("a.pt2", None, "torch-export"),
        ("a.safetensors", None, "safetensors"),
        ("a.bin", "torch_export", "torch-export"),
    ],
)
def test_the_ending_says_the_format_and_a_name_does_for_the_others(path, name, wanted):
    assert find_format(Path(path), name).name == wanted


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a.onx", None, r"Nearest: \.onnx"),
        ("a", None, r"Expected one of \.onnx, \.safetensors, \.pt2, or --format onnx\|"),
        ("a.pt2", "onnx", r"ends as a file of torch-export, but --format says onnx"),
        ("a.onnx", "onxx", "Nearest: onnx"),
    ],
)
def test_a_format_that_nothing_says_is_answered_with_the_known_ones(path, name, message):
    with pytest.raises((SettingError, UnknownNameError), match=message):
        find_format(Path(path), name)


def test_a_package_that_is_absent_is_told_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SettingError, match=r"needs onnxscript[\s\S]*netwright\[export\]") as found:
        refuse_missing_packages(FORMATS.get("onnx"))
    assert found.value.exit_code == 2


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry.name)
def test_every_format_publishes_what_the_family_owes(entry):
    assert entry.facts["suffix"].startswith(".")
    assert callable(entry.facts["opens"])
    assert len(entry.facts["use"]("a", "b", "c")) >= 5
    assert isinstance(entry.facts["graph"], bool)
    with speaking("zh"):
        assert say(entry.doc) != entry.doc


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_every_registered_model_is_exported_and_agrees(make, name, kind, tmp_path):
    import dataclasses

    channels, side = (1, 28) if name in ("mlp", "lenet5", "lenet5-1998") else (3, 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(
            name, num_classes=10, in_channels=channels, input_size=(side, side), options={}
        )
        images = torch.randint(0, 256, (10, channels, side, side), dtype=torch.uint8)
    preprocessing = Preprocessing(
        channels=channels, size=(side, side), mean=(0.4,) * channels, std=(0.3,) * channels
    )
    given = dataclasses.replace(make(network), preprocessing=preprocessing)
    path = written(kind, given, tmp_path)
    module = self_contained(given)

    @torch.no_grad()
    def run(batch):
        return module(batch)

    assert compare(run, FORMATS.get(kind).facts["opens"](path, given), images).holds
