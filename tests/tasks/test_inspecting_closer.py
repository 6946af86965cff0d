"""`nw.inspect` where it was found wanting: fields that vary, networks made in a file, words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import netwright as nw
from netwright.core.errors import SettingError


class Crossing(nn.Module):
    """Down and up again beside a path that stays: which pixels a unit sees varies."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 1, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(1, 1, 2, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(5)

    def forward(self, x):
        return self.pool(self.up(self.down(x)))


def touched(model, layer, unit, size):
    """First and last row and column with a gradient: the slow way."""
    kept = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]))
    x = torch.ones(1, 1, size, size, requires_grad=True)
    for p in model.parameters():
        nn.init.ones_(p)
    model(x)
    handle.remove()
    kept[0][0, 0, unit[0], unit[1]].backward()
    found = x.grad[0, 0] != 0
    rows, columns = found.any(1).nonzero().flatten(), found.any(0).nonzero().flatten()
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@pytest.mark.parametrize("layer", ["up", "pool"])
def test_where_the_field_varies_every_unit_still_tells_what_it_sees(layer):
    model = Crossing()
    info = nw.inspect(model, (1, 12, 12))
    field = info[layer].receptive_field
    assert "varies" in field.sight
    for unit in ((0, 0), (1, 2), (2, 3), (4, 4)):
        inside = tuple((max(lo, 0), min(hi, 11)) for lo, hi in field.at(unit))
        assert inside == touched(model, layer, unit, 12)
    assert model.training


def test_a_network_that_a_file_made_itself_is_inspected(tmp_path):
    file = tmp_path / "ready.py"
    file.write_text("from torch import nn\nnet = nn.Sequential(nn.Linear(4, 2))\n")
    info = nw.inspect(f"{file}:net", (4,))
    assert info.params == 10
    with pytest.raises(SettingError, match=r"made already: leave model\.width out"):
        nw.inspect(f"{file}:net", (4,), model__width=3)


def test_without_a_tensor_the_arguments_of_forward_are_named():
    with pytest.raises(SettingError, match=r"forward takes \(x\)"):
        nw.inspect(Crossing())


def test_of_several_small_maps_the_worst_is_told_as_the_worst():
    (found,) = [
        each
        for each in nw.inspect("resnet18", (3, 32, 32)).findings
        if each.name == "tiny-feature-map"
    ]
    assert "at the worst 1x1 under 3x3" in found.paragraphs()[0]


class Beside(nn.Module):
    """An image, and a vector beside it that only goes by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.line = nn.Linear(5, 4)

    def forward(self, image, *, vector):
        return self.conv(image).mean((2, 3)) + self.line(vector)


def test_what_computes_takes_the_other_inputs_too():
    model = Beside()
    info = nw.inspect(model, (3, 8, 8), vector=torch.ones(1, 5))
    assert info.initial_state().samples == 1
    field = info.effective_field("conv")
    assert field.unit == (3, 3)
    assert (field.rows, field.columns) == ((3, 5), (3, 5))
    assert info.record.outputs == ((1, 4),)


@pytest.mark.parametrize("wrong", [torch.zeros(4, 1, 8, 8), torch.zeros(4, 3, 2, 8)])
def test_a_wrong_batch_is_refused_by_the_layer_that_refuses_it(wrong):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    info = nw.inspect(model, (3, 8, 8))
    before = torch.get_rng_state()
    with pytest.raises(SettingError, match=r"0 \(Conv2d\) cannot take its input"):
        info.initial_state(wrong)
    with pytest.raises(SettingError, match=r"0 \(Conv2d\) cannot take its input"):
        info.effective_field("0", wrong)
    assert torch.equal(before, torch.get_rng_state())
    assert not model[0]._forward_hooks
    assert model.training


def test_a_target_that_does_not_fit_is_refused_in_words():
    info = nw.inspect(nn.Linear(4, 3), (4,))
    with pytest.raises(SettingError, match=r"the target \(5,\) does not fit the output \(4, 3\)"):
        info.initial_state(torch.zeros(4, 4), torch.zeros(5, dtype=torch.long))


def test_weights_without_values_and_of_inference_mode_are_refused_in_words():
    empty = nw.inspect(nn.Conv2d(3, 4, 3, device="meta"), (3, 9, 9))
    with pytest.raises(SettingError, match="no weights with values"):
        empty.effective_field("")
    with torch.inference_mode():
        frozen = nw.inspect(nn.Conv2d(3, 4, 3), (3, 9, 9))
        with pytest.raises(SettingError, match="made in inference mode"):
            frozen.effective_field("")


def test_a_forward_that_would_leave_the_program_is_told():
    class Leaving(nn.Module):
        def forward(self, x):
            raise SystemExit(9)

    with pytest.raises(SettingError, match=r"\(Leaving\) raised SystemExit in its forward: 9"):
        nw.inspect(Leaving(), (4,))
