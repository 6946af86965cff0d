"""Python callers who give something of the wrong kind are told so in our words."""

import pytest
import torch

import netwright as nw
from netwright.core.errors import SettingError

CROSS_ENTROPY = torch.nn.functional.cross_entropy


@pytest.mark.parametrize(
    "given",
    [{"first": "a"}, {"last": None}, {"last": True}, {"steps": "20"}, {"steps": 20.5}],
)
def test_a_range_of_something_else_than_numbers_is_refused(given):
    model, batch = torch.nn.Linear(4, 3), (torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
    with pytest.raises(SettingError, match=r"is not allowed: expected a (whole )?number"):
        nw.lr_range(model, [batch], CROSS_ENTROPY, **given)


@pytest.mark.parametrize("loss", [None, "cross_entropy"])
def test_a_loss_that_cannot_be_called_is_refused(loss):
    with pytest.raises(SettingError, match="cannot be called"):
        nw.lr_range(torch.nn.Linear(4, 3), [(torch.randn(8, 4), torch.zeros(8))], loss)


@pytest.mark.parametrize(
    ("file", "given", "told"),
    [
        (5, {}, "5 is no name of a file"),
        (["a.onnx"], {}, "is no name of a file"),
        ("a.safetensors", {"format": 5}, "No format called"),
        ("a.safetensors", {"images": 5}, "expected files or folders"),
        ("a.safetensors", {"images": [None]}, "expected files or folders"),
        ("x" * 300 + ".onnx", {}, "cannot be the name of a file"),
        ("a\x00.onnx", {}, "cannot be the name of a file"),
    ],
)
def test_an_export_of_something_odd_is_refused(run, file, given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=told):
        nw.load(run).export(file, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", [None, 5, ["hidden"], b"hidden"])
def test_a_layer_that_is_no_name_is_unknown(run, layer):
    with pytest.raises(SettingError, match="No layer called"):
        nw.load(run).filters(layer)
