"""`nw.inspect`: what may be inspected, what comes back, and what is refused in which words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import netwright as nw
from netwright.core.errors import NetwrightError, SettingError, UnknownNameError
from netwright.tasks.asked import inspect_asked, parse_input


class Twice(nn.Module):
    """Two inputs, a tied weight, an unused one and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.spare = nn.Linear(3, 3)
        self.first.bias.requires_grad_(False)

    def forward(self, x, y):
        return {"a": self.first(x) + self.second(y), "b": (x, y)}


def small():
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
                         nn.Linear(8 * 16 * 16, 10))  # fmt: skip


def test_a_registered_network_knows_its_own_input():
    info = nw.inspect("resnet18")
    assert info.params == 11_689_512
    assert info.macs == 1_814_073_344
    assert info.flops == 2 * info.macs
    assert info.outputs == ((1, 1000),)
    assert info.record.inputs == ((1, 3, 224, 224),)
    assert info["layer3"].receptive_field.size == (211, 211)
    assert info["layer3"].receptive_field.stride == (16, 16)
    assert info["layer3"].receptive_field.start == (0, 0)
    assert info["layer3"].outputs == ((1, 256, 14, 14),)
    assert "layer3" in info
    assert len(info) == len(info.rows)


def test_settings_of_a_registered_network_are_keywords():
    whole = nw.inspect("resnet18", (3, 32, 32), model__stem="small", model__num_classes=7)
    assert whole.outputs == ((1, 7),)
    assert whole["layer4"].outputs == ((1, 512, 4, 4),)
    published = nw.inspect("resnet18", (3, 32, 32))
    assert published["layer4"].outputs == ((1, 512, 1, 1),)
    assert "as published" in str(published.remarks[0])


@pytest.mark.parametrize("shape", [(3, 32, 32), torch.Size([3, 32, 32])])
def test_a_tuple_of_ints_is_the_shape_of_one_sample(shape):
    info = nw.inspect(small(), tuple(shape))
    assert info.record.inputs == ((1, 3, 32, 32),)
    assert info.outputs == ((1, 10),)


def test_anything_else_goes_to_forward_as_it_is():
    info = nw.inspect(Twice(), torch.zeros(4, 6), y=torch.zeros(4, 6))
    assert info.record.inputs == ((4, 6), (4, 6))
    assert info.outputs == ((4, 6), (4, 6), (4, 6))
    assert info.params == sum(each.numel() for each in Twice().parameters())
    assert [fact.paths for fact in info.record.tied] == [("first.weight", "second.weight")]
    assert {fact.paths[0] for fact in info.record.unused} == {"spare.weight", "spare.bias"}


def test_a_unit_sees_the_rows_that_reach_it_when_they_are_changed():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Conv2d(1, 1, 5, padding=2))
    image = torch.randn(1, 1, 24, 24, requires_grad=True)
    net(image)[0, 0, 6, 3].backward()
    rows = torch.nonzero(image.grad[0, 0].abs().sum(1)).flatten()
    columns = torch.nonzero(image.grad[0, 0].abs().sum(0)).flatten()
    (top, bottom), (left, right) = nw.inspect(net, (1, 24, 24))["1"].receptive_field.at((6, 3))
    assert (max(top, 0), bottom) == (int(rows[0]), int(rows[-1]))
    assert (max(left, 0), right) == (int(columns[0]), int(columns[-1]))


def test_a_unit_that_is_not_there_is_refused():
    field = nw.inspect(small(), (3, 32, 32))["0"].receptive_field
    with pytest.raises(SettingError, match=r"0 has 16 units along axis 0: 0 to 15\. .* unit 16"):
        field.at(16)
    with pytest.raises(SettingError, match=r"along 3 dimensions; .* along 2, numbers 2, 3"):
        field.at((1, 2, 3))


def test_a_linear_layer_sees_everything():
    field = nw.inspect(small(), (3, 32, 32))["3"].receptive_field
    assert field.sight == ("all", "all")
    assert field.size == (None, None)
    assert field.at(3) == ((0, 31), (0, 31))


def test_a_layer_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Nearest: layer3"):
        nw.inspect("resnet18")["layr3"]


def test_all_of_it_is_json():
    document = json.loads(json.dumps(nw.inspect(Twice(), (6,), (6,)).to_json()))
    assert document["format"] == 1
    assert document["totals"]["params"] == nw.inspect(Twice(), (6,), (6,)).params
    assert "2 x multiply-adds" in document["convention"]
    assert isinstance(document["findings"], list)


def test_the_training_step_is_traced_when_it_is_asked_for():
    info = nw.inspect(small(), torch.zeros(4, 3, 32, 32))
    assert info.memory.gradient_bytes == 4 * info.params
    assert info.memory.forward_macs == info.macs
    assert info.training_memory(optimizer="adam").optimizer_bytes > 8 * info.params - 1
    assert info.memory is info.memory


def test_the_start_is_measured_on_noise_or_on_a_batch():
    net = small()
    before = [each.clone() for each in net.parameters()]
    info = nw.inspect(net, (3, 32, 32))
    assert info.initial_state().samples >= 2
    assert info.initial_state(torch.randn(5, 3, 32, 32)).samples == 5
    both = info.initial_states(initialisers=["he", "constant"])
    assert [each.initialiser for each in both] == ["he", "constant"]
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_the_effective_field_lies_within_the_theoretical_one():
    info = nw.inspect("lenet5")
    found = info.effective_field("c3")
    rows = info["c3"].receptive_field.at(found.unit)[0]
    assert found.rows == (max(0, rows[0]), min(31, rows[1])) or found.rows == rows


def test_where_time_goes_is_estimated_and_measured(monkeypatch, tmp_path):
    from netwright.inspection import timing
    from netwright.records.timing import OVERHEADS, RATES, Machine, Rate

    machine = Machine(
        processor="one", device="cpu", threads=1, torch="2",
        rates=dict.fromkeys(RATES, Rate(points=((1.0, 1e9),))),
        overheads=dict.fromkeys(OVERHEADS, 1e-6),
    )  # fmt: skip
    monkeypatch.setattr(timing, "machine_at_hand", lambda device: machine)
    info = nw.inspect("lenet5")
    assert info.timing().measured is None
    assert info.timing().seconds > info.macs / 1e9
    assert info.timing(measure=True).measured > 0


def test_naming_a_network_leaves_the_random_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "import random, torch\nfrom torch import nn\n\n"
        "def make():\n    random.random()\n    return nn.Linear(4, 4)\n"
    )
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    nw.inspect("lenet5").initial_state()
    nw.inspect("net.py:make", (4,))
    assert torch.equal(before, torch.random.get_rng_state())


def test_networks_are_compared_with_what_names_them():
    found = nw.inspect("lenet5").versus("lenet5", depth=1)
    assert found.totals["macs"][0] == found.totals["macs"][1]
    assert all(a and b for a, b in found.pairs)


def test_a_picture_is_written_whole_and_shows_a_unit(tmp_path):
    info = nw.inspect(small(), (3, 32, 32))
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    drawn = info.picture(tmp_path / "a.svg", layer="0", unit=(3, 4), image=image)
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert "rows 5 to 7" in drawn.svg
    assert "data:image/png" in drawn.svg
    info.picture(tmp_path / "a.html", layer="0")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"path": "a.png"}, "is an .svg file, or an .html page"),
        ({"layer": "3", "unit": (0, 0), "image": np.zeros(3)}, "An image is expected"),
        ({"layer": "0", "unit": (99, 0)}, r"there is no unit \(99, 0\)"),
        ({"layer": "nought"}, "No layer called"),
        ({"unit": (0, 0)}, "A unit is one of a layer"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(words, told):
    with pytest.raises(SettingError, match=told):
        nw.inspect(small(), (3, 32, 32)).picture(**words)


def test_a_wrong_shape_names_the_layer_that_refused_it():
    with pytest.raises(SettingError, match=r"^0 \(Conv2d\).*\(1, 4, 32, 32\)"):
        nw.inspect(small(), (4, 32, 32))


def test_a_class_is_no_instance():
    with pytest.raises(
        SettingError, match=r"Twice is a class.*\n.*nw\.inspect\(Twice\(\), \.\.\.\)"
    ):
        nw.inspect(Twice, (6,))
    with pytest.raises(SettingError, match=r"Linear\(in_features, out_features\)"):
        nw.inspect(nn.Linear, (6,))


def test_a_missing_argument_is_named():
    with pytest.raises(SettingError, match="missing a required argument: 'y'"):
        nw.inspect(Twice(), (6,))


def test_what_is_no_network_is_refused():
    with pytest.raises(SettingError, match=r"takes a torch\.nn\.Module or a name, not int"):
        nw.inspect(3, (6,))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n"
        "class Net(nn.Linear):\n    def __init__(self, in_channels, num_classes=5):\n"
        "        super().__init__(in_channels, num_classes)\n\n"
        "def fails():\n    raise ValueError('no luck')\n\n"
        "def kind():\n    return nn.ReLU\n\n"
        "def number():\n    return 3\n\n"
        "def sized(input_size):\n    return nn.Flatten()\n"
    )
    return tmp_path


def test_a_factory_of_a_file_is_called_with_what_it_names(folder):
    info = nw.inspect("net.py:Net", torch.zeros(2, 3), model__num_classes=4)
    assert (info.record.model, info.outputs) == ("net.py:Net", ((2, 4),))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("net.py", r"say which function or class.*\n.*Write net\.py:sized.*Net, fails"),
        ("net.py:Nett", "Nearest: Net"),
        ("net.py:fails", "raised ValueError: no luck"),
        ("net.py:kind", "returned the class ReLU; expected an instance"),
        ("net.py:number", r"returned int; expected a torch\.nn\.Module"),
        ("net.py:sized", "is built for a size of image"),
        ("missing.py:Net", r"No file missing\.py"),
        ("missing.py", r"There is no missing\.py"),
        ("missing.safetensors", r"There is no missing\.safetensors"),
        ("no.such.module:Net", "No module named"),
        ("resnett18", "Nearest: resnet18"),
        ("\0", "No model called"),
        (".", "is no network: expected a run folder"),
    ],
)
def test_what_names_no_network_says_why(folder, spec, told):
    with pytest.raises(SettingError, match=told):
        nw.inspect(spec)


def test_a_network_without_an_input_of_its_own_asks_for_one(folder):
    with pytest.raises(SettingError, match=r"net\.py:Net does not say what it takes"):
        nw.inspect("net.py:Net")


def test_a_run_and_a_weights_file_are_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nw.train("digits", model="mlp", model__hidden=[9], steps=1, run_dir=tmp_path / "run")
    info = nw.inspect("run")
    assert info.outputs == ((1, 10),)
    assert info.params == 64 * 9 + 9 + 9 * 10 + 10
    weights = nw.load("run").module.state_dict()
    kept = info._network().state_dict()
    assert all(torch.equal(weights[name], kept[name]) for name in weights)
    assert nw.inspect("run/best.safetensors").params == info.params
    with pytest.raises(SettingError, match=r"built as it was trained: leave model\.hidden out"):
        nw.inspect("run", model__hidden=[3])
    with pytest.raises(SettingError, match=r"There is no run/last\.safetensors"):
        nw.inspect("run/last.safetensors")
    (tmp_path / "run/cut.safetensors").write_bytes(b"{")
    with pytest.raises(NetwrightError, match="is damaged"):
        nw.inspect("run/cut.safetensors")
    nw.load("run").export("alone.safetensors")
    assert nw.inspect("alone.safetensors").params == info.params
    (tmp_path / "bare.safetensors").write_bytes((tmp_path / "run/best.safetensors").read_bytes())
    with pytest.raises(SettingError, match="does not say of which network"):
        nw.inspect("bare.safetensors")
    (tmp_path / "bare.yaml").write_text("model: {name: mlp, hidden: [9]}\ndata: {size: 8}\n")
    assert nw.inspect("bare.safetensors", (1, 8, 8)).params == info.params


@pytest.mark.parametrize(
    "text", ["", "3x", "x3", "3x224xfoo", "-3x2", "0x3", "9" * 40, "3x3:int99"]
)
def test_a_text_that_is_no_shape_is_refused(text):
    with pytest.raises(SettingError, match="--input"):
        parse_input(text)


def test_a_batch_and_a_type_are_taken_from_the_command_line():
    info = inspect_asked("lenet5", ["1x32x32"], options={}, batch=5)
    assert info.record.inputs == ((5, 1, 32, 32),)
    assert parse_input("16:int64") == ((16,), torch.int64)
