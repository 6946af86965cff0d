"""What the units of a layer see, asked by their place in its output, held against gradients."""

import itertools
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.core.errors import SettingError


class Net(nn.Module):
    """A network of one function and the layers it calls."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.run(self, x)


def seen(net, shape, dims, unit):
    """First and last pixel along each axis that move the outputs at `unit` along `dims`."""
    image = torch.rand(1, *shape, dtype=torch.double, requires_grad=True)
    out = net(image)
    place = [slice(None)] * out.ndim
    for dim, index in zip(dims, unit, strict=True):
        place[dim] = index
    (moved,) = torch.autograd.grad(out[tuple(place)].sum(), image)
    rows = (moved[0] != 0).any(0).nonzero()
    if not len(rows):
        return (None,) * rows.shape[1]
    return tuple((int(r.min()), int(r.max())) for r in rows.T)


def inside(rows, length):
    return None if rows is None else (max(rows[0], 0), min(rows[1], length - 1))


CASES = {
    "pixel shuffle": (
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2)), (1, 8, 7), (2, 3)),
    "unshuffle": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.PixelUnshuffle(2)), (1, 14, 10), (2, 3)),
    "unshuffle and shuffle": (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.PixelUnshuffle(3), nn.Conv2d(18, 8, 3, stride=2),
                      nn.PixelShuffle(2)), (1, 29, 29), (2, 3)),
    "repeat_interleave": (
        Net(lambda m, x: m.a(x).repeat_interleave(3, -1), a=nn.Conv2d(1, 2, 3)), (1, 8, 8), (2, 3)),
    "height and width swapped": (
        Net(lambda m, x: m.a(x.transpose(2, 3)), a=nn.Conv2d(1, 2, (3, 5), stride=(1, 2))),
        (1, 9, 11), (2, 3)),
    "swapped, and it varies": (
        Net(lambda m, x: m.a(x.transpose(2, 3)), a=nn.ConvTranspose2d(1, 2, 3, stride=(1, 2))),
        (1, 5, 7), (2, 3)),
    "channels last": (
        Net(lambda m, x: m.a(x).permute(0, 2, 3, 1), a=nn.Conv2d(1, 3, (3, 1), stride=(2, 1))),
        (1, 9, 11), (1, 2)),
    "tokens": (
        Net(lambda m, x: m.a(x).flatten(2).transpose(1, 2), a=nn.Conv2d(1, 3, 4, stride=4)),
        (1, 12, 16), (1,)),
    "a row of positions": (
        Net(lambda m, x: m.b(m.a(x).flatten(2)), a=nn.Conv2d(1, 2, 3),
            b=nn.Conv1d(2, 2, 5, padding=2)), (1, 9, 8), (2,)),
    "unfolded": (
        Net(lambda m, x: m.a(F.unfold(x, 4, stride=2).transpose(1, 2)), a=nn.Linear(16, 3)),
        (1, 12, 10), (1,)),
    "windows": (
        Net(lambda m, x: m.a(x).view(1, 2, 3, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(6, 16, 2),
            a=nn.Conv2d(1, 2, 3, padding=1)), (1, 12, 8), (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_unit_named_by_its_place_in_the_output_sees_what_moves_it(case):
    net, shape, dims = CASES[case]
    torch.manual_seed(0)
    for each in net.parameters():
        nn.init.uniform_(each, 0.1, 1.0)
    net = net.double()
    image = torch.zeros(1, *shape, dtype=torch.double)
    field = nw.inspect(net, image)[""].receptive_field
    assert field.dims == dims
    units = list(itertools.product(*map(range, field.units)))
    for unit in random.Random(0).sample(units, min(20, len(units))):
        found = tuple(map(inside, field.at(unit), shape[1:]))
        assert found == seen(net, shape, dims, unit), unit


def test_a_depth_to_space_that_comes_last_moves_by_half_a_pixel():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2))
    field = nw.inspect(net, (1, 8, 8))["1"].receptive_field
    assert (field.size, field.stride, field.units) == ((3, 3), (0.5, 0.5), (16, 16))
    assert field.at((0, 1)) == ((-1, 1), (-1, 1))
    assert field.at((2, 5)) == ((0, 2), (1, 3))


def test_a_repetition_that_comes_last_has_its_own_line_and_shape():
    net = Net(lambda m, x: m.a(x).repeat_interleave(3, -1), a=nn.Conv2d(1, 2, 3))
    info = nw.inspect(net, (1, 8, 8))
    last = info.record.operations[-1]
    assert (last.name, last.output) == ("repeat_interleave", (1, 2, 6, 18))
    assert info[""].receptive_field.stride == (1.0, pytest.approx(1 / 3))


def test_the_stride_behind_shuffles_is_of_the_pixels_that_come_out():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.PixelUnshuffle(3), nn.Conv2d(18, 8, 3, stride=2), nn.PixelShuffle(2)
    )
    info = nw.inspect(net, (1, 29, 29))
    facts = [(row.fields[0].size, row.fields[0].stride) for row in info.rows if row.leaf]
    assert facts == [(3, 1.0), (5, 3.0), (11, 6.0), (11, 3.0)]


def test_where_axes_are_swapped_units_are_in_the_order_of_the_output():
    net = Net(lambda m, x: m.a(x.transpose(2, 3)), a=nn.Conv2d(1, 2, (3, 5), stride=(1, 2)))
    field = nw.inspect(net, (1, 9, 11))["a"].receptive_field
    assert (field.units, field.size, field.stride) == ((9, 3), (5, 3), (2.0, 1.0))
    assert field.at((8, 2)) == ((4, 8), (8, 10))
    with pytest.raises(SettingError, match=r"3 units along axis 1: 0 to 2\. There is no unit 8"):
        field.at((2, 8))


def test_a_unit_named_along_too_many_dimensions_is_told_how_to_name_it():
    net = Net(lambda m, x: m.b(m.a(x).flatten(2)), a=nn.Conv2d(1, 2, 3), b=nn.Conv1d(2, 2, 5))
    field = nw.inspect(net, (1, 9, 8))[""].receptive_field
    with pytest.raises(SettingError, match=r"output 1x2x38 is named along one, number 2: at\(\(1"):
        field.at((2, 3))


def test_what_units_see_is_kept_when_it_was_asked_for_once():
    net = nn.Sequential(nn.ConvTranspose2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3))
    info = nw.inspect(net, (1, 6, 6))
    before = info["1"].receptive_field.at((3, 4))
    net.double()
    assert info["1"].receptive_field.at((3, 4)) == before


def test_a_network_that_was_changed_since_is_told_so():
    net = nn.Sequential(nn.ConvTranspose2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3))
    info, other = nw.inspect(net, (1, 6, 6)), nw.inspect(net, (1, 6, 6))
    net[0].stride = (3, 3)
    with pytest.raises(SettingError, match="its layers see something else now"):
        info["0"].receptive_field.at(3)
    net[1] = nn.Conv2d(5, 1, 3)
    with pytest.raises(SettingError, match=r"Sequential was changed since it was inspected: 1 "):
        other["0"].receptive_field.at(3)
