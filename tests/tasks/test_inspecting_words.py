"""What an inspection says: lower bounds, reasons, remarks, and why a network did not run."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.arithmetic.sight import moving, uniting
from netwright.core.errors import SettingError
from netwright.core.languages import speaking
from netwright.inspection.rules import resizing
from netwright.report.field_reasons import REASONS, reason
from netwright.report.inspection_notes import notes
from netwright.report.layer_html import layer_html
from netwright.report.layer_table import cost_lines


class Odd(nn.Module):
    """A layer, and an operation without a rule."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x):
        return torch.linalg.inv(self.lin(x))


def test_a_total_without_the_cost_of_some_operations_says_that_it_is_at_least_so_much():
    info = nw.inspect(Odd(), (4, 4))
    (total,) = [line for line in info.table().splitlines() if line.startswith("total")]
    assert ">=64" in total
    assert cost_lines(info.record)[0].startswith("FLOPs  >=128 = 2 x >=64 ")
    assert "Total mult-adds: >=64" in info.summary()
    (whole,) = [line for line in info.summary().splitlines() if line.startswith("Odd ")]
    assert whole.endswith(">=0")
    assert "&gt;=64" in layer_html(info.record)
    assert ">=64" in str(info.versus(nn.Linear(4, 4)).table())


def test_printed_it_names_the_operations_that_it_could_not_count():
    info = nw.inspect(Odd(), (4, 4))
    assert info.unruled == (("linalg_inv_ex", 1),)
    assert "no rule for linalg_inv_ex (1x)" in str(info).splitlines()[-1]
    plain = nw.inspect(nn.Linear(4, 4), (4,))
    assert plain.unruled == ()
    assert ">=" not in str(plain) + plain.summary()
    assert str(plain) == plain.table()


def said(record):
    return [phrase.localized() for _, phrase in notes(record)]


def test_a_network_that_is_one_layer_is_called_by_its_name():
    net = nn.ConvTranspose2d(1, 1, 2, stride=2)
    record = nw.inspect(net, (1, 4, 4)).record
    (text,) = [each for each in said(record) if "receptive field" in each]
    assert text.startswith("from ConvTranspose2d on the receptive field varies")


def test_every_reason_for_a_field_has_its_chinese():
    modules = (moving, uniting, resizing)
    known = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str) and " " in value
    }
    assert len(known) >= 13
    assert known <= {*REASONS}
    with speaking("zh"):
        for why in (*known, "sort has no rule", "rows 2 to 5 of 9: no others came through"):
            assert reason(why).localized() != why
        net = nn.ConvTranspose2d(1, 1, 2, stride=2)
        record = nw.inspect(net, (1, 4, 4)).record
        assert "转置卷积" in " ".join(said(record))
    assert "转置卷积" not in str(record.to_json())
    assert str(reason("sort has no rule")) == "sort has no rule"


def test_unpooling_and_folding_are_called_what_they_are():
    class Unpooling(nn.Module):
        def forward(self, x):
            pooled, places = F.max_pool2d(x, 2, return_indices=True)
            return F.max_unpool2d(pooled, places, 2)

    class Folding(nn.Module):
        def forward(self, x):
            return F.fold(F.unfold(x, 4, stride=2), (8, 8), 4, stride=2)

    conv = nn.Conv2d(1, 1, 3, padding=1)
    for last, word in ((Unpooling(), "unpooling"), (Folding(), "fold adds up windows")):
        field = nw.inspect(nn.Sequential(conv, last), (1, 8, 8))["1"].receptive_field
        assert field.axes[0].why.startswith(word)
        assert "at most" in field.axes[0].why


@pytest.mark.filterwarnings("ignore")
def test_packed_weights_are_counted_in_a_note():
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    packed = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    info = nw.inspect(packed, (4,))
    assert info.params == 0
    (note,) = [each for each in info.record.notes if "packed" in each]
    assert note.startswith("51 weights of quantised layers are packed")
    with speaking("zh"):
        assert any("51 个权重" in each for each in said(info.record))


def test_a_published_network_on_images_of_another_size_says_what_became_of_it():
    (note,) = nw.inspect("lenet5", (1, 20, 20)).remarks
    assert "for 1x32x32 and has 61,706" in str(note)
    assert "1x20x20, with 30,986 parameters" in str(note)
    (note,) = nw.inspect("resnet18", (1, 32, 32)).remarks
    assert "built for images of 1x32x32, with 11,683,240" in str(note)
    assert nw.inspect("lenet5").remarks == ()
    assert nw.inspect("vgg16", (3, 64, 64)).remarks == ()  # its pooling makes any size fit
    assert nw.inspect("lenet5", (1, 32, 32), model__num_classes=3).remarks == ()


class Leaving(nn.Module):
    def forward(self, x):
        sys.exit(3)


class Empty(nn.Module):
    pass


class Mistyped(nn.Module):
    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (Leaving(), r"\(Leaving\) raised SystemExit in its forward: 3"),
        (Empty(), r"\(Empty\) raised NotImplementedError in its forward: .*forward"),
        (nn.Sequential(Mistyped()), r"0 \(Mistyped\) raised AttributeError in its forward: .*laye"),
    ],
)
def test_what_has_nothing_to_do_with_the_input_is_called_by_its_own_name(net, told):
    with pytest.raises(SettingError, match=told) as caught:
        nw.inspect(net, (4,))
    assert "cannot take its input" not in str(caught.value)


def test_what_does_not_fit_is_still_said_to_be_the_input():
    with pytest.raises(SettingError, match=r"0 \(Linear\) cannot take its input \(1, 5\)"):
        nw.inspect(nn.Sequential(nn.Linear(4, 4)), (5,))
